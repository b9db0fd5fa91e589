// Whether a host is online, and anything else that prevents it from working.
import { t } from "../lib/i18n.js";
import { html, When } from "../lib/ui.js";

const BARRED = ["revoked", "released", "quarantined"];

// A host whose certificate is invalid cannot come online, whatever its agent does, so this state is shown first.
export const Presence = ({ host }) => {
  const state = host.identity?.state, barred = !host.connected && BARRED.includes(state);
  const kind = host.connected ? "completed" : barred ? "dispatch_failed" : "unreachable";
  return html`<span class=${`pill s-${kind}`}><span class="mark" aria-hidden="true">${host.connected ? "●" : barred ? "⊖" : "○"}</span>${host.connected ? t("host.online") : barred ? t(`identity.${state}`) : t(host.first_seen_at ? "host.offline" : "host.never_seen")}</span>`;
};
export const Seen = ({ host }) => (host.connected ? html`<span title=${t("host.since")}>${t("host.now")}</span>` : html`<${When} at=${host.last_seen_at} />`);

// The labels of a host: those of the operators and those of its agent.
export const labelsOf = (host) => Object.entries({ ...host.agent_labels, ...host.labels });
export const Labels = ({ host }) => labelsOf(host).map(([key, value]) => html`<span class="label">${value ? `${key}=${value}` : key}</span>`);

export const HowToJoin = () => html`<p>${t("hosts.none.how")} <code>clarion join-token create</code> · <code>clarion-agent join</code></p>`;
