// Package clients contains only tests. They connect real, unchanged clients of
// event streams to the real hub, and kill or drain the hub. Each client must get
// fifteen numbered events, each once and in order, and nothing else that its users
// would take for a message.
//
// The clients are dependencies of this module and of package.json, or Debian
// packages (Chromium, Firefox, Symfony's PHP client), to keep them out of the
// hub's module. The test installs those of npm with npm ci. The table that it prints
// ends with the clients that are not available.
package clients
