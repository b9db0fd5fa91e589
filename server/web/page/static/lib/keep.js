// What the browser stores for this page: drafts until the tab is closed, display settings for longer. Never a token or
// a response of the server.
const PREFIX = "clarion.";
// A browser may forbid storage; the page works without it.
function touch(act) { try { return act(); } catch { return null; } }
const read = (store, name) => touch(() => JSON.parse(store().getItem(PREFIX + name)));
const write = (store, name, value) => touch(() => (value === null ? store().removeItem(PREFIX + name) : store().setItem(PREFIX + name, JSON.stringify(value))));
const tab = () => sessionStorage, lasting = () => localStorage;

export const draft = (name) => read(tab, name);
export const saveDraft = (name, value) => write(tab, name, value);
export const choice = (name) => read(lasting, name);
export const saveChoice = (name, value) => write(lasting, name, value);
// Signing out deletes drafts, so that the next user does not see them.
export const forget = () => touch(() => { for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key); });
