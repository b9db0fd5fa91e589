// What the browser keeps for this page: drafts until its tab is closed, choices of looks for longer. Never a token, and never an answer of the server.
const PREFIX = "clarion.";
// A browser may forbid it; the page works without.
function touch(act) { try { return act(); } catch { return null; } }
const read = (store, name) => touch(() => JSON.parse(store().getItem(PREFIX + name)));
const write = (store, name, value) => touch(() => (value === null ? store().removeItem(PREFIX + name) : store().setItem(PREFIX + name, JSON.stringify(value))));
const tab = () => sessionStorage, lasting = () => localStorage;

export const draft = (name) => read(tab, name);
export const saveDraft = (name, value) => write(tab, name, value);
export const choice = (name) => read(lasting, name);
export const saveChoice = (name, value) => write(lasting, name, value);
// Signing out leaves no draft to the one who comes next.
export const forget = () => touch(() => { for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key); });
