package demo

// The texts of the built-in generator.

var opening = passage{
	en: "I am no language model. I am a small text generator inside the Tidings binary, and I have learnt a few paragraphs by heart. Start the hub with --demo-llm-url and a real model answers here instead. What you are looking at is real all the same: each word is an event on a topic of its own.",
	zh: "我不是大语言模型，只是 Tidings 程序里内置的一个小小的文本生成器，会背几段话。启动时加上 --demo-llm-url，这里就由真正的模型来回答。不过你看到的推送过程是真实的：每个词都是这个回答自己的主题上的一个事件。",
}

var closing = passage{
	en: "Ask me about resuming, reconnecting, topics, WebSocket, nginx, scale or models. Or try to lose a word of this: reload, pull the network cable, open the address on your phone.",
	zh: "可以问我断点续传、自动重连、主题、WebSocket、nginx、性能或者大模型。也可以试着弄丢一个词：刷新页面，拔掉网线，或者在手机上打开同一个地址。",
}

var passages = []passage{
	{
		words: []string{"reload", "resume", "lose", "lost", "survive", "sentence", "续传", "刷新", "丢", "断点"},
		en:    "Why does a reload go on in mid-sentence? The answer is not tied to your connection. It is published to the hub as it is generated, and the hub writes it to its log. Your page subscribes to the answer's topic from its first event, so it gets what is there at once, and the rest as it comes. If the network breaks, the browser comes back by itself and says which event it saw last; the hub goes on right after it. Nothing is missing and nothing comes twice.",
		zh:    "为什么刷新之后能从半句话处接着往下写？因为回答并不依附于你的连接。它一边生成，一边发布到推送中心，并写进日志。页面从这个主题的第一个事件开始订阅：已有的部分立即送达，其余的随生成而到。如果网络中断，浏览器会自动重连，并带上最后收到的事件 ID，推送中心就从它之后继续。一个词不少，一个词不重。",
	},
	{
		words: []string{"sse", "server-sent", "eventsource", "what is", "how does", "什么是", "原理", "事件"},
		en:    "Server-Sent Events is the simplest way for a server to speak first. A page makes an ordinary GET request, and the answer does not end: lines of text keep coming, a field and a value each, and a blank line ends an event. The browser's EventSource reads them, calls your handler and, when the connection is lost, connects again. It has been in the HTML standard for more than ten years, passes through every proxy that passes HTTP, and can be read with curl.",
		zh:    "服务器推送事件（SSE）是让服务器先开口的最简单的办法。页面发出一个普通的 GET 请求，而响应并不结束：一行一行的文本不断到来，每行一个字段，空行表示一个事件结束。浏览器的 EventSource 负责解析、调用你的处理函数，断线时自动重连。它写进 HTML 标准已有十多年，能穿过任何能传 HTTP 的代理，用 curl 就能看。",
	},
	{
		words: []string{"reconnect", "network", "retry", "offline", "重连", "断网", "网络"},
		en:    "Reconnecting is the browser's business, and that is the beauty of it. The server may say how long to wait, in a field called retry; three seconds is the custom. A hub that restarts gives each of its clients a different time, so that a million of them do not come back in the same instant.",
		zh:    "重连是浏览器自己的事，妙就妙在这里。服务器可以用 retry 字段告诉它等多久，惯例是三秒。推送中心重启时，会给每个客户端各自不同的时间，这样一百万个客户端不会在同一瞬间涌回来。",
	},
	{
		words: []string{"topic", "subscribe", "publish", "主题", "订阅", "发布"},
		en:    "A topic is just a name. A publisher need not know who is listening, and a single stream may carry many topics at once. This answer has one, and so has each room of the chat and each symbol of the stock board.",
		zh:    "主题只是一个名字。发布者不必知道谁在听，一个流也可以同时承载许多主题。这个回答有自己的主题，聊天室的每个房间、行情板上的每只股票也都有。",
	},
	{
		words: []string{"websocket", "socket", "poll", "轮询"},
		en:    "A WebSocket is a telephone, this is a radio. If both sides talk all the time, take the telephone. If one speaks and many listen, a stream of plain HTTP is less to build, less to run, and mends itself; what the listener has to say now and then is a POST.",
		zh:    "WebSocket 像电话，SSE 像广播。双方都要不停说话，就用电话；一方说、众人听，普通的 HTTP 流更容易开发，更容易运维，还会自己恢复。听众偶尔要说的话，用一个 POST 就够了。",
	},
	{
		words: []string{"nginx", "proxy", "buffer", "代理", "缓冲"},
		en:    "Behind nginx, streams are often held back until a buffer is full, and then come all at once. The header X-Accel-Buffering: no turns that off for one response, and the hub sends it with every stream, so there is nothing to configure.",
		zh:    "经过 nginx 时，流常常被攒在缓冲区里，满了才一次放出来。响应头 X-Accel-Buffering: no 可以对单个响应关闭缓冲，推送中心的每个流都会带上它，所以什么都不用配置。",
	},
	{
		words: []string{"scale", "fast", "million", "performance", "性能", "并发", "规模"},
		en:    "The cost of a hub is its fan-out: one event, very many readers. So an event is encoded once, readers of the same topics share the same bytes, and each of them is little more than a position in those bytes. A slow reader continues from the log, and nobody waits for it.",
		zh:    "推送中心的开销在于扇出：一个事件，非常多的读者。所以每个事件只编码一次，订阅相同主题的读者共用同一份字节，每个读者差不多只是其中的一个位置。读得慢的从日志里接着读，谁也不用等谁。",
	},
	{
		words: []string{"llm", "model", "token", "gpt", "模型", "大语言"},
		en:    "Language models stream their answers over Server-Sent Events, too: a chunk of JSON per token, and at the end the word [DONE] in brackets. But that stream belongs to one request, and when it breaks, the answer is gone. A hub in between makes it everybody's, and durable.",
		zh:    "大语言模型的流式回答用的也是 SSE：每个词元一段 JSON，最后以方括号里的 [DONE] 结束。但那个流只属于一次请求，一断就没了。中间加上推送中心，它就成了大家的，而且不会丢。",
	},
}
