// The page is whole without this; it only fetches itself again and shows what is new.
(() => {
  const look = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.querySelector("main");
      const open = [...main.querySelectorAll("details")].map((part) => part.open);
      const next = fresh.querySelector("main");
      next.querySelectorAll("details").forEach((part, at) => { part.open = !!open[at]; });
      main.replaceWith(next);
      document.title = fresh.title;
      document.body.classList.remove("stale");
      document.body.dataset.looks = Number(document.body.dataset.looks || 0) + 1;
    } catch {
      document.body.classList.add("stale");
      document.title = "no answer · tls-sidecar";
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
})();
