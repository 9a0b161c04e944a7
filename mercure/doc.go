// Package mercure speaks the Mercure protocol, as its hubs from 0.14 on and
// their clients do (draft-dunglas-mercure-07), on a hub that has a native API
// as well: what is published by one is received by the other.
//
// # Promises
//
//   - Clients and publishers of a Mercure hub work unchanged: the same
//     address, parameters, tokens, cookies and answers.
//   - An event without an id of its publisher's has a urn:uuid: that encodes
//     its place, so that resuming from it is a seek at any size of history. An
//     id that is given several times resumes from the first.
//   - The Last-Event-ID header of a stream says where it begins: the id that
//     was asked for, or "earliest" if that is not known any more, which a
//     native EventSource hears as an event of type gap.
//   - Between events there is no blank line, since clients of Mercure's take
//     one for an event.
//
// Version 1.0 of the protocol, with its match parameters, is not spoken yet.
package mercure
