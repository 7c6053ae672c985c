/** Cancelling an operation: asked in the page, done by the service, and said. */

import { announce } from "./announce.js";
import { asked } from "./asked.js";
import { byId, setText } from "./elements.js";
import { visible } from "./words.js";

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
  const response = await asked(`operations/${encodeURIComponent(id)}`, { method: "DELETE" });
  announce(saying(id, response?.status));
}

function saying(id, status) {
  if (status === undefined) return `Operation ${id} could not be cancelled: the service does not answer.`;
  if (status === 200) return `Operation ${id} is cancelled.`;
  if (status === 404) return `Operation ${id} is gone already.`;
  return `Operation ${id} could not be cancelled: the service answered ${status}.`;
}
