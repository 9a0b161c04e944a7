export default {
  en: { title: "Demos" },
  zh: {
    title: "演示",
    "index.h1": "事件发生，即刻送达",
    "index.lead": "面向生产环境的 SSE（服务器推送事件）：只需一个保持打开的普通 HTTP 响应。下面的内容都由本机的 Tidings 实时推送。",
    "index.clock": "SSE 的入门示例：每秒一个未命名事件，外加一个命名事件。",
    "index.chat.one": "有人在吗？",
    "index.chat.two": "在，另一个标签页。",
    "index.chat": "房间、昵称、谁在线、历史消息。两个标签页即可对话，没有专门的聊天服务器。",
    "index.monitoring": "本机真实的 CPU、内存、磁盘与网络数据，实时绘图，越限告警。",
    "index.llm.text": "刷新之后能从半句话处接着写的回答，因为每个词元都是一个",
    "index.llm": "逐词生成；刷新、断网、换设备，都不会丢。",
    "index.shell": "打开两个终端试试",
    "# one listens": "# 一个订阅",
    "# the other publishes": "# 另一个发布",
    "index.shell.note": "发布的每个事件都会送达该主题的所有订阅者；暂时离线的订阅者，重新连上后也会收到。",
  },
};
