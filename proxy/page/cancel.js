/** Cancelling an operation: asked in the page, done by the service, and said. */

import { announce } from "./announce.js";
import { told } from "./asked.js";
import { byId, setText } from "./elements.js";
import { visible } from "./words.js";

const FOR_ITS_CLIENT =
  "Its status URL answers 404 from then on, and a client that waits there gets that at once. It is not told who cancelled it.";
const CONSEQUENCES = {
  queued: `No byte of its request was sent to the origin, and none will be. ${FOR_ITS_CLIENT}`,
  running: `Its connection to the origin is closed. What the origin has done already stays done. ${FOR_ITS_CLIENT}`,
};

export class Cancelling {
  constructor() {
    this.dialog = byId("confirm");
    byId("confirm-keep").addEventListener("click", () => this.dialog.close());
    byId("confirm-cancel").addEventListener("click", () => this.#confirmed());
    this.dialog.addEventListener("close", () => this.#restoreFocus());
  }

  /** Asks whether to cancel it. */
  ask(operation) {
    this.operation = operation;
    this.asked = document.activeElement;
    setText(byId("confirm-what"), visible(`${operation.id}: ${operation.method} ${operation.target}`));
    setText(byId("confirm-text"), CONSEQUENCES[operation.state]);
    this.dialog.showModal();
  }

  #confirmed() {
    this.dialog.close();
    cancel(this.operation.id);
  }

  /** The row from which it was asked may be gone by now. */
  #restoreFocus() {
    if (!this.asked?.isConnected) byId("operations").focus();
  }
}

async function cancel(id) {
  // Only while it is under way: if it has just completed, its result is its client's.
  const { status, refusal } = await told(`operations/${encodeURIComponent(id)}?state=unsettled`, { method: "DELETE" });
  announce(saying(id, status, refusal?.detail));
}

function saying(id, status, detail) {
  if (status === null) return `Operation ${id} could not be cancelled: the service does not answer.`;
  if (status === 200) return `Operation ${id} is cancelled.`;
  if (status === 404) return `Operation ${id} is gone already.`;
  return detail ?? `Operation ${id} could not be cancelled: the service answered ${status}.`;
}
