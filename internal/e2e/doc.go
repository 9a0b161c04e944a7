// Package e2e contains only tests. They run the built hub with a real Chromium,
// nginx, Node.js, Python and PHP over real sockets.
//
// A test skips itself, with the reason, if a program that it needs is not
// installed; with TIDINGS_E2E=require in the environment it fails instead. The
// tests save screenshots in the directory TIDINGS_ARTIFACTS, if that is set.
package e2e
