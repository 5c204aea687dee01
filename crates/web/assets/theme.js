// Sets the chosen colour scheme before anything is drawn. "auto" follows the system.
(() => {
  const chosen = localStorage.getItem('pleiad-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
