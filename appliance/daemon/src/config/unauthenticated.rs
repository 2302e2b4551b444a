//! Which ceremonies need no token: Vault's key at the top, or OpenBao's in a listener. Without either all of them do.

use framework::hcl::{ParseError, Reader};

/// What the files say so far.
#[derive(Default)]
pub(super) struct Unauthenticated {
    generate_root: Option<bool>,
    rekey: Option<bool>,
}

impl Unauthenticated {
    /// `enable_unauthenticated_access = ["generate-root", "rekey"]`.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), ParseError> {
        const KEY: &str = "enable_unauthenticated_access";
        for family in reader.strings(KEY)?.unwrap_or_default() {
            match family {
                "generate-root" => set(&mut self.generate_root, true, reader, KEY)?,
                "rekey" => set(&mut self.rekey, true, reader, KEY)?,
                _ => return Err(reader.error(KEY, format!("{KEY} takes \"generate-root\" and \"rekey\""))),
            }
        }
        Ok(())
    }

    /// The keys of a listener. They hold for the whole server, so listeners must agree.
    pub(super) fn read_listener(&mut self, reader: &mut Reader<'_>) -> Result<(), ParseError> {
        for (key, slot) in [
            ("disable_unauthed_generate_root_endpoints", &mut self.generate_root),
            ("disable_unauthed_rekey_endpoints", &mut self.rekey),
        ] {
            if let Some(disabled) = reader.boolean(key)? {
                set(slot, !disabled, reader, key)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> system::Unauthenticated {
        system::Unauthenticated {
            generate_root: self.generate_root.unwrap_or(false),
            rekey: self.rekey.unwrap_or(false),
        }
    }
}

fn set(slot: &mut Option<bool>, value: bool, reader: &Reader<'_>, key: &str) -> Result<(), ParseError> {
    if slot.replace(value).is_some_and(|before| before != value) {
        return Err(
            reader.error(key, format!("{key} contradicts what stands before it: it holds for the whole server"))
        );
    }
    Ok(())
}
