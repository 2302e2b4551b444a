# What a wrapping token may do, once: get its answer out, put it under a new token, or give it up.
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
path "sys/wrapping/rewrap" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# How clients of old get the answer out.
path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
