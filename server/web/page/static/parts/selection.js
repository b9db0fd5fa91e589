// Shows which hosts a selector matches, and what would happen to them.
import { plain, quoted } from "../lib/format.js";
import { lang, t } from "../lib/i18n.js";
import { html } from "../lib/ui.js";

const some = (names) => names.slice(0, 5).map((name) => `“${plain(name.slice(0, 60))}”`).join(", ") + (names.length > 5 ? ", …" : "");

export const Selection = ({ found }) => html`<div class="small">
  <p><b>${t("select.count", { n: found.count })}</b>${found.offline ? html` · <span class="warn">${t("select.offline", { n: found.offline })}</span>` : null}
    ${found.count ? html` · <span class="mono">${plain(found.folded.slice(0, 400))}${found.more || found.folded.length > 400 ? " …" : ""}</span>` : null}</p>
  ${found.sample.length > 1 && found.sample.length < found.count ? html`<p class="soft">${t("select.sample")} ${found.sample.map((host) => plain(host.hostname)).join(", ")}, …</p>` : null}
  ${found.warnings.map((one) => html`<p class="warn">${lang === "en" ? plain(one.message) : t(`warning.${one.code}`, { n: one.count, names: some(one.names) })}</p>`)}
  ${found.refused ? html`<p class="bad">${t("select.refused")}</p>` : null}</div>`;

export const Plan = ({ plan, found }) => html`<section class="plan" aria-label=${t("plan")}><h2>${t("plan")}</h2>
  <p>${t("plan.text", { n: found.count, offline: found.offline })} ${found.offline ? t(`plan.offline.${plan.if_offline}`) : ""}</p>
  <pre>${plan.command ?? plan.script ?? plan.argv.map(quoted).join(" ")}</pre>
  <p class="soft">${[t("plan.timeout", { s: plan.timeout }), plan.concurrency ? t("plan.concurrency", { n: plan.concurrency }) : t("plan.all"), plan.retry ? t("plan.retry", { n: plan.retry.attempts }) : null, plan.run_as ? t("task.as", { user: plan.run_as }) : null].filter(Boolean).join(" · ")}</p></section>`;
