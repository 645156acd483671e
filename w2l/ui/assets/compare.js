const find = (name) => element.querySelector(".w2l-" + name);
const place = () => {
  const after = find("after"), before = find("before");
  if (!after || !before || before.tagName !== "VIDEO") return;
  const starts = Number(find("compare").dataset.starts);
  const wanted = Math.min(starts + after.currentTime, Math.max(0, (before.duration || 0) - 0.02));
  const slack = after.paused ? 0.005 : 0.12;
  if (Math.abs(before.currentTime - wanted) > slack) before.currentTime = wanted;
};
const show = () => {
  const after = find("after");
  if (!after) return;
  const length = after.duration || 0;
  find("time").value = `${after.currentTime.toFixed(1)} / ${length.toFixed(1)} s`;
  if (length) find("head").value = String(1000 * after.currentTime / length);
  find("play").textContent = after.paused ? "\u25B6" : "\u23F8";
};
for (const event of ["timeupdate", "loadedmetadata", "seeked", "pause", "play", "ended"]) {
  element.addEventListener(event, (e) => {
    if (e.target !== find("after")) { if (event === "loadedmetadata") place(); return; }
    const before = find("before");
    if (before && before.tagName === "VIDEO") {
      if (event === "play") before.play().catch(() => {});
      if (event === "pause" || event === "ended") before.pause();
    }
    place();
    show();
  }, true);
}
element.addEventListener("input", (e) => {
  const after = find("after");
  if (e.target === find("wipe")) find("before").style.clipPath = `inset(0 ${100 - e.target.value}% 0 0)`;
  if (e.target === find("head") && after.duration) { after.currentTime = e.target.value / 1000 * after.duration; place(); }
});
element.addEventListener("click", (e) => {
  const after = find("after"), button = e.target.closest("button");
  if (!button || !after) return;
  if (button === find("play")) after.paused ? after.play() : after.pause();
  if (button === find("mute")) { after.muted = !after.muted; button.textContent = after.muted ? button.dataset.off : button.dataset.on; }
});
