// Submits a transaction, waits for its end, and verifies the callback that tells of it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { Webhook } from "standardwebhooks";

const { HOLDFAST_URL, HOLDFAST_API_KEY, HOLDFAST_CALLBACK_SECRET } = process.env;
const webhook = new Webhook(HOLDFAST_CALLBACK_SECRET);

const told = Promise.withResolvers?.() ?? withResolvers();

// Answers 204 to what is authentic, and 401 to all else, which is told again.
const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    const event = webhook.verify(Buffer.concat(chunks).toString(), request.headers);
    // The same event may come again: its id says so. Write it down before you answer.
    told.resolve(event);
    response.writeHead(204).end();
  } catch {
    response.writeHead(401).end();
  }
});

function withResolvers() {
  const resolvers = {};
  resolvers.promise = new Promise((resolve, reject) => Object.assign(resolvers, { resolve, reject }));
  return resolvers;
}

async function call(path, options = {}) {
  const answer = await fetch(HOLDFAST_URL + path, {
    ...options,
    headers: { authorization: `Bearer ${HOLDFAST_API_KEY}`, "content-type": "application/json", ...options.headers },
    signal: AbortSignal.timeout(90_000),
  });
  return { status: answer.status, body: await answer.json() };
}

// A submission that gets no answer, 429 or 503 is sent again under the same key: it is never carried out twice.
async function submit(content) {
  for (const wait of [200, 1_000, 5_000, 25_000, undefined]) {
    try {
      const { status, body } = await call("/api/v1/transactions", { method: "POST", body: JSON.stringify(content) });
      if (status === 202) return body;
      if (![429, 503].includes(status) || wait === undefined) throw new Error(JSON.stringify(body), { cause: "refused" });
    } catch (error) {
      if (error.cause === "refused" || wait === undefined) throw error;
    }
    await pause(wait);
  }
}

await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const content = {
  transactionId: `node-${randomUUID()}`,
  amount: "12.50",
  currency: "EUR",
  callbackUrl: `http://127.0.0.1:${server.address().port}/`,
};
const accepted = await submit(content);
assert.equal((await submit(content)).id, accepted.id);
console.log("accepted:", accepted.id);
const { body: command } = await call(accepted.links.self, { headers: { prefer: "wait=60" } });
console.log("now:", command.status);
const late = pause(60_000, undefined, { ref: false }).then(() => assert.fail("no callback within 60 s"));
const event = await Promise.race([told.promise, late]);
console.log("told:", event.type, event.id);
assert.equal(event.subject, accepted.id);
assert.equal(event.data.status, "completed");
server.close();
server.closeAllConnections();
