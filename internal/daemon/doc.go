// Package daemon makes a running hub of a [Config]: it opens the log, wires
// the packages together, serves, and takes everything down again in order. It
// is the only package that knows flags, files and engines.
package daemon
