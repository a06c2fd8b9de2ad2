// The tables to search take their colours from a class of the document; the theme says them in an attribute of the body.
const dark = matchMedia('(prefers-color-scheme: dark)');
function tell() {
  const theme = document.body.dataset.theme;
  document.documentElement.classList.toggle('dark', theme === 'dark' || (theme !== 'light' && dark.matches));
}
document.addEventListener('DOMContentLoaded', () => {
  tell();
  dark.addEventListener('change', tell);
  new MutationObserver(tell).observe(document.body, { attributes: true });
});
