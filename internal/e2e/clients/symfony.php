<?php
// php symfony.php URL prints the events that Symfony's EventSourceHttpClient gets, as JSON lines.
require 'Symfony/Component/HttpClient/autoload.php';

use Symfony\Component\HttpClient\Chunk\ServerSentEvent;
use Symfony\Component\HttpClient\EventSourceHttpClient;

$client = new EventSourceHttpClient();
$source = $client->connect($argv[1]);
while ($source) {
    foreach ($client->stream($source, 2) as $r => $chunk) {
        if ($chunk->isTimeout()) {
            continue;
        }
        if ($chunk->isLast()) { // as in Symfony's documentation
            return;
        }
        if ($chunk instanceof ServerSentEvent) {
            echo json_encode(['type' => $chunk->getType(), 'data' => $chunk->getData()]), "\n";
        }
    }
}
