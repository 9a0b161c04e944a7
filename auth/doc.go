// Package auth turns a request into a [Grant]: what its sender may publish and
// see, and until when.
//
// # Promises
//
//   - Which keys count, and with which algorithms, is configuration. A token
//     chooses neither: its alg must be one that its key is for, and what its
//     header says of keys (jwk, jku, x5u, x5c) is not even read.
//   - Who is refused is told what to send, and never why a signature, a key or
//     an algorithm was not accepted; that is in [Error].Cause, for the log.
//   - A token that is presented and not accepted is refused, also where none
//     is needed.
//   - A cookie publishes nothing unless the request says that it comes from a
//     page that may.
//
// A nil [*Auth] is a hub without keys: everyone holds every grant.
package auth
