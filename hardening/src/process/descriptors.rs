//! Open descriptors as messages between processes (SCM_RIGHTS, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Sends `message`, which must not be empty, with `descriptor`. The receiver gets a descriptor of its own; the sender
/// may close this one.
///
/// # Errors
/// The kernel's; `InvalidInput` for an empty message; `WriteZero` if the socket took a part of the message only.
pub fn send_descriptor(socket: &UnixStream, message: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
    if message.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a descriptor travels with at least one byte"));
    }
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for the descriptor"));
    }
    let sent =
        rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL))?;
    if sent < message.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Receives what is there, at most `buffer.len()` bytes, and the descriptor that came with it, if one did (close-on-exec
/// is set). 0 bytes: the peer has gone.
///
/// # Errors
/// The kernel's (`WouldBlock` when the socket's read timeout passes); `InvalidData` if more than one descriptor came:
/// all are closed.
pub fn receive_descriptor(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    if descriptors.len() > 1 || received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more than one descriptor in a message"));
    }
    Ok((received.bytes, descriptors.pop()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_message_and_works() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut inner, passed) = UnixStream::pair().unwrap();
        send_descriptor(&left, b"hsm", passed.as_fd()).unwrap();
        drop(passed);
        let mut buffer = [0; 16];
        let (count, descriptor) = receive_descriptor(&right, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"hsm");
        UnixStream::from(descriptor.unwrap()).write_all(b"through").unwrap();
        let mut text = String::new();
        inner.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        drop(left);
        assert!(matches!(receive_descriptor(&right, &mut buffer), Ok((0, None))));
    }

    #[test]
    fn an_empty_message_is_refused() {
        let (left, _right) = UnixStream::pair().unwrap();
        let error = send_descriptor(&left, b"", left.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
