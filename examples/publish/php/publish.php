<?php
// Publishes one event: php publish.php "hello". PHP 8, no extensions.

$hub = getenv('HUB') ?: 'http://localhost:3000';
$event = ['topic' => 'news', 'data' => $argv[1] ?? 'hello from PHP'];

$answer = @file_get_contents("$hub/events", false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/json',
    'content' => json_encode($event, JSON_THROW_ON_ERROR),
    'timeout' => 10,
    'ignore_errors' => true, // an answer that says what was wrong is worth reading
]]));
if ($answer === false || !str_contains($http_response_header[0], ' 201')) {
    fwrite(STDERR, ($answer ?: error_get_last()['message']) . "\n");
    exit(1);
}
echo json_decode($answer)->id, "\n";
