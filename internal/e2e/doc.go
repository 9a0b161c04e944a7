// Package e2e has no code, only tests: the built binary, a real Chromium, a
// real nginx and a real Node.js, talking over real sockets.
//
// A test whose program is not installed is skipped and says so; with
// TIDINGS_E2E=require in the environment it fails instead. Screenshots are kept
// in the directory that TIDINGS_ARTIFACTS names.
package e2e
