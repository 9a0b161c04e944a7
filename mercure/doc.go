// Package mercure implements the Mercure protocol (draft-dunglas-mercure-07), as
// Mercure hubs from 0.14 on and their clients speak it. The hub keeps its native API:
// events published by one are received by the other.
//
// # Promises
//
//   - Clients and publishers of a Mercure hub work unchanged: the same address,
//     parameters, tokens, cookies and answers.
//   - An event whose publisher gave no id has a urn:uuid: that encodes its
//     position, so that resuming from it is a seek in a history of any size. An id
//     that was given several times resumes from the first.
//   - The Last-Event-ID header of a stream says where it begins: the id that was
//     asked for, or "earliest" if the log no longer has it. A native EventSource,
//     which cannot see headers, gets an event of type gap.
//   - Between events there is no blank line, because Mercure clients take one for
//     an event.
//
// Version 1.0 of the protocol, with its match parameters, is not implemented yet.
package mercure
