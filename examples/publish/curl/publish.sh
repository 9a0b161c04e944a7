#!/bin/sh
# Publishes one event: sh publish.sh "hello"
exec curl --fail-with-body --silent --show-error --data-raw "${1:-hello from curl}" --header 'Content-Type: text/plain' "${HUB:-http://localhost:3000}/events/news"
