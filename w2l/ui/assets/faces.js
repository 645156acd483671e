element.addEventListener("click", (e) => {
  const button = e.target.closest("button[data-face]");
  if (button) trigger("click", {face: Number(button.dataset.face)});
});
