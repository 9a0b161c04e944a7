// Package auth turns a request into a [Grant]: what its sender may publish and
// see, and until when.
//
// # Promises
//
//   - Configuration alone decides which keys count, and for which algorithms. A
//     token's alg must be one of its key's, and the keys in a token's header (jwk,
//     jku, x5u, x5c) are not even read.
//   - A refusal says what to send, and never why a signature, a key or an algorithm
//     was not accepted. That is in [Error].Cause, for the log.
//   - A token that is sent but not accepted is refused, even where no token is
//     needed.
//   - A cookie publishes nothing unless the request shows that it comes from a page
//     that may publish.
//
// A nil [*Auth] stands for a hub without keys: every request has every grant.
package auth
