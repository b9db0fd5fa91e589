// Every host of a task as a cell on one canvas. Colour and mark show its state. Only cells that changed are drawn
// again.
import { plain } from "../../lib/format.js";
import { t, word } from "../../lib/i18n.js";
import { html, STATES, useEffect, useRef, useState } from "../../lib/ui.js";

const AWAY = 16, CHOSEN = 64, FOCUS = 128, FAINT = 256, PALE = 0.4;
const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const TONES = ["none", "busy", "busy", "good", "bad", "bad", "none", "warn", "bad"];
export const stateOf = (byte) => ({ status: STATES[byte & 15], unreachable: byte >= AWAY });

// The pixels of one picture per state: a filled or hollow square with a mark that is readable without colour. `pale`:
// the picture for cells that are not selected while others are.
function sprites(side, scale) {
  const made = new Map(), pale = new Map(), back = tone("card"), size = Math.round(side * scale), canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const g = canvas.getContext("2d", { willReadFrequently: true });
  for (let byte = 0; byte < AWAY + STATES.length; byte++) {
    if ((byte & 15) >= STATES.length) continue;
    const state = byte & 15, s = side - 1;
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, side, side);
    const colour = tone(TONES[state]);
    g.fillStyle = g.strokeStyle = colour;
    g.lineWidth = side > 9 ? 1.5 : 1;
    const hollow = state === 0 || state === 1 || state === 2 || state === 6;
    if (hollow) g.strokeRect(0.5, 0.5, s - 1, s - 1); else g.fillRect(0, 0, s, s);
    const ink = hollow ? colour : back, line = (...points) => { g.strokeStyle = ink; g.beginPath(); points.forEach(([x, y], at) => (at ? g.lineTo(x * s, y * s) : g.moveTo(x * s, y * s))); g.stroke(); };
    g.fillStyle = ink;
    if (state === 1) g.fillRect(s * 0.38, s * 0.38, s * 0.26, s * 0.26);
    if (state === 2) g.fillRect(0, s / 2, s, s / 2);
    if (state === 4) { line([0.22, 0.22], [0.78, 0.78]); line([0.78, 0.22], [0.22, 0.78]); }
    if (state === 5) { line([0.5, 0.15], [0.5, 0.55], [0.85, 0.55]); }
    if (state === 6) line([0, 1], [1, 0]);
    if (state === 7) g.fillRect(s * 0.2, s * 0.42, s * 0.6, Math.max(1, s * 0.18));
    if (state === 8) g.fillRect(s * 0.38, s * 0.2, s * 0.26, s * 0.6);
    if (byte >= AWAY) { g.fillStyle = back; g.fillRect(s * 0.5, 0, s * 0.5, s * 0.5); g.strokeStyle = tone("warn"); g.strokeRect(s * 0.5 + 0.5, 0.5, s * 0.5 - 1, s * 0.5 - 1); }
    const image = g.getImageData(0, 0, size, size).data;
    made.set(byte, new Uint32Array(image.buffer));
    const faint = image.slice();
    for (let alpha = 3; alpha < faint.length; alpha += 4) faint[alpha] = faint[alpha] * PALE;
    pale.set(byte, new Uint32Array(faint.buffer));
  }
  g.setTransform(1, 0, 0, 1, 0, 0);
  const pixel = (name) => {
    g.fillStyle = tone(name);
    g.fillRect(0, 0, 1, 1);
    return new Uint32Array(g.getImageData(0, 0, 1, 1).data.buffer)[0];
  };
  return { size, of: made, pale, chosen: pixel("text"), focus: pixel("accent") };
}

// chosen: selected places. toggle(places): selects or deselects them. picking: a click selects instead of opening. at:
// the place of the keyboard cursor.
export function HostMap({ names, states, version, chosen, toggle, openHost, picking, at, setAt }) {
  const canvas = useRef(null), drawn = useRef(null), grid = useRef(null), latest = useRef(null);
  const [focused, setFocused] = useState(false);
  const total = names.length;

  function layout() {
    const width = canvas.current.parentElement.clientWidth, least = matchMedia("(pointer: coarse)").matches ? 16 : width < 600 ? 6 : 8;
    const side = Math.max(least, Math.min(24, Math.floor(Math.sqrt((width * 260) / Math.max(total, 1)))));
    const columns = Math.max(1, Math.floor(width / side)), rows = Math.ceil(total / columns), scale = window.devicePixelRatio || 1;
    canvas.current.width = Math.round(columns * side * scale);
    canvas.current.height = Math.round(rows * side * scale);
    Object.assign(canvas.current.style, { width: `${columns * side}px`, height: `${rows * side}px` });
    const image = new ImageData(canvas.current.width, Math.max(1, canvas.current.height));
    grid.current = { side, columns, scale, pictures: sprites(side, scale), image, pixels: new Uint32Array(image.data.buffer) };
    drawn.current = new Int16Array(total).fill(-1);
    latest.current();
  }
  // The cells are drawn into one image in memory, and the rows that changed are copied to the canvas at once. Ten
  // thousand separate draw calls would block the page.
  function paint() {
    const { side, columns, scale, pictures, image, pixels } = grid.current, { size, of, pale } = pictures, width = image.width, some = chosen.size > 0;
    const thick = Math.max(1, Math.round(scale * (side > 12 ? 3 : side > 8 ? 2 : 1.5)));
    let first = image.height, last = 0;
    for (let place = 0; place < total; place++) {
      const own = chosen.has(place), look = states[place] + (own ? CHOSEN : some ? FAINT : 0) + (focused && place === at ? FOCUS : 0);
      if (drawn.current[place] === look) continue;
      drawn.current[place] = look;
      const x = Math.round((place % columns) * side * scale), y = Math.round(Math.floor(place / columns) * side * scale), picture = (some && !own ? pale : of).get(states[place]);
      const right = Math.min(size, width - x), below = Math.min(size, image.height - y);
      for (let row = 0; row < below; row++) for (let column = 0; column < right; column++) pixels[(y + row) * width + x + column] = picture[row * size + column];
      const ring = (from, to, ink) => {
        const high = size - 2 - from, low = size - 1 - to;
        for (let row = from; row <= high && row < below; row++) for (let column = from; column <= high && column < right; column++) if (row < to || column < to || row >= low || column >= low) pixels[(y + row) * width + x + column] = ink;
      };
      if (own) ring(0, thick, pictures.chosen);
      if (look & FOCUS) ring(own ? thick : 0, own ? 2 * thick : thick, pictures.focus);
      first = Math.min(first, y);
      last = Math.max(last, y + below);
    }
    if (last > first) canvas.current.getContext("2d").putImageData(image, 0, 0, 0, first, width, last - first);
  }
  // If the window size changes much later, the current selection must be drawn.
  latest.current = paint;
  useEffect(() => {
    layout();
    const again = () => layout(), scheme = matchMedia("(prefers-color-scheme: dark)"), size = new ResizeObserver(() => { if (grid.current && Math.floor(canvas.current.parentElement.clientWidth / grid.current.side) !== grid.current.columns) layout(); });
    size.observe(canvas.current.parentElement);
    scheme.addEventListener("change", again);
    return () => { size.disconnect(); scheme.removeEventListener("change", again); };
  }, [names, states]);
  useEffect(() => { const frame = requestAnimationFrame(paint); return () => cancelAnimationFrame(frame); }, [version, chosen, at, focused]);
  // The host that was found may be outside the visible part.
  useEffect(() => {
    const { side, columns } = grid.current, box = canvas.current.parentElement, y = Math.floor(at / columns) * side;
    if (y < box.scrollTop || y + side > box.scrollTop + box.clientHeight) box.scrollTop = y - box.clientHeight / 2;
  }, [at]);

  const placeOf = (event) => {
    const { side, columns } = grid.current, box = canvas.current.getBoundingClientRect();
    const place = Math.floor((event.clientY - box.top) / side) * columns + Math.min(columns - 1, Math.floor((event.clientX - box.left) / side));
    return place >= 0 && place < total ? place : null;
  };
  const click = (event) => {
    const place = placeOf(event);
    if (place === null) return;
    if (event.shiftKey && chosen.size) toggle([...Array(Math.abs(place - at) + 1).keys()].map((step) => Math.min(place, at) + step).filter((one) => one === at || !chosen.has(one)), true);
    else if (picking || event.shiftKey || event.ctrlKey || event.metaKey) toggle([place]);
    else openHost(place);
    setAt(place);
  };
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.current.columns, ArrowUp: -grid.current.columns, Home: -at, End: total - 1 - at }[event.key];
    if (step !== undefined) setAt(Math.max(0, Math.min(total - 1, at + step)));
    else if (event.key === "Enter") openHost(at);
    else if (event.key === " ") toggle([at]);
    else return;
    event.preventDefault();
  };
  const hover = (event) => {
    const place = placeOf(event);
    if (place !== null) canvas.current.title = `${plain(names[place])}: ${word(stateOf(states[place]).status, stateOf(states[place]))}`;
  };
  return html`<div class="map"><canvas ref=${canvas} tabindex="0" role="application" aria-label=${t("map.label", { n: total })} aria-describedby="map-here" onClick=${click} onKeyDown=${keys}
      onFocus=${() => setFocused(true)} onBlur=${() => setFocused(false)} onMouseMove=${hover}></canvas></div>`;
}
