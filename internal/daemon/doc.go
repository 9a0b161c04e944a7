// Package daemon turns a [Config] into a running hub: it opens the log, wires the
// packages together, serves, and stops everything in reverse order. It is the only
// package that knows flags, files and engines.
package daemon
