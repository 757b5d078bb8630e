/** The settings of both, the upstream and the proxy. Opens `http {`, which the caller closes. */
export function nginxHead(dir: string, name: string): string {
  return `worker_processes 1; pid ${dir}/${name}.pid; error_log /dev/null; events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 100000000; client_max_body_size 10m; client_body_buffer_size 256k;
  client_body_temp_path ${dir}/${name}-body; proxy_temp_path ${dir}/${name}-proxy;`
}
