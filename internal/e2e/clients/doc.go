// Package clients has no code, only tests: real clients of event streams,
// unchanged, on the real hub, which is killed and drained under them. Each must
// see fifteen numbered events, each once, in order, and nothing that its users
// would take for a message.
//
// The clients are in modules of their own language, so that they stay out of the
// hub's: go.mod here, package.json with its lock file, and Debian's packages
// (Chromium, Firefox, Symfony's PHP client). The test installs those of npm with
// npm ci. What cannot be had is named at the end of the table it prints.
package clients
