// The tables to search take their colours from a class of the body; the theme says them in an attribute.
const dark = matchMedia('(prefers-color-scheme: dark)');
function tell() {
  const theme = document.body.dataset.theme;
  const now = theme === 'dark' || (theme !== 'light' && dark.matches);
  if (document.body.classList.contains('quarto-dark') === now && document.body.classList.contains('quarto-light') !== now) return;
  document.body.classList.toggle('quarto-dark', now);
  document.body.classList.toggle('quarto-light', !now);
}
document.addEventListener('DOMContentLoaded', () => {
  tell();
  dark.addEventListener('change', tell);
  new MutationObserver(tell).observe(document.body, { attributes: true });
});
