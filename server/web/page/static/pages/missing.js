// The page for an unknown address.
import { t } from "../lib/i18n.js";
import { Empty, html, open } from "../lib/ui.js";

const Missing = () => html`<div class="top"><h1>${t("title.missing")}</h1></div><${Empty} text=${t("missing.text", { path: location.pathname.slice(0, 200) })}>
  <div class="actions center"><a class="button primary" href="/">${t("nav.overview")}</a><a class="button" href="/tasks">${t("nav.tasks")}</a><a class="button" href="/hosts">${t("nav.hosts")}</a><a class="button" href="/help">${t("nav.help")}</a></div><//>`;

open(Missing);
