// Keeps who this browser is, as the server has signed it. Nothing is drawn.
export default function ({ data }) {
  if (window.playgroundVisitor === data.value) return; // once for each change: another tab may have become the teacher since
  window.playgroundVisitor = data.value;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${data.name}=${data.value}; Path=/; Max-Age=34560000; SameSite=Lax${secure}`; // 400 days, a browser's most
}
