// What goes out, and what a function may answer.

import { Rejection } from "./rejection.js";

/** What document, deletion and message give: an object that is none of these is a document's body. */
class Output {
  constructor(options) {
    this.options = options;
  }
}

class Document extends Output {
  constructor(body, options) {
    super(options);
    this.body = object(body);
  }

  action() {
    const { id, index, routing } = this.options;
    return { tag: "index", val: { id: text(id), index: text(index), routing: text(routing), body: this.body } };
  }
}

class Deletion extends Output {
  action() {
    const { id, index, routing } = this.options;
    return { tag: "delete", val: { id: text(id), index: text(index), routing: text(routing) } };
  }
}

class Message extends Output {
  constructor(topic, body, options) {
    super(options);
    this.topic = topic;
    this.body = JSON.stringify(body);
    if (typeof topic !== "string" || this.body === undefined) {
      throw new Rejection("a message needs a topic and a body");
    }
  }

  action() {
    return { tag: "emit", val: { topic: this.topic, key: text(this.options.key), body: this.body } };
  }
}

export function document(body, options = {}) {
  return new Document(body, options);
}

export function deletion(options = {}) {
  return new Deletion(options);
}

export function message(topic, body, options = {}) {
  return new Message(topic, body, options);
}

/** The actions an answer stands for: all of them, or an exception and none. */
export function actions(answer) {
  if (Array.isArray(answer)) {
    return answer.filter((one) => one !== undefined && one !== null).map(action);
  }
  return answer === undefined || answer === null ? [] : [action(answer)];
}

function action(one) {
  if (one instanceof Output) {
    return one.action();
  }
  if (one instanceof Promise) {
    throw new Rejection("the function is async: a transform has nothing to wait for");
  }
  return { tag: "index", val: { id: null, index: null, routing: null, body: object(one) } };
}

function object(body) {
  const json = JSON.stringify(body);
  if (!json?.startsWith("{")) {
    throw new Rejection(`a document is an object, and not ${json ?? typeof body}`);
  }
  return json;
}

function text(value) {
  return value === undefined || value === null ? null : String(value);
}
