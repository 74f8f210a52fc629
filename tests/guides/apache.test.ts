import { guideSuite } from "./suite.ts";

guideSuite({
  name: "apache",
  port: 80,
  // A server-side include is what a stock Apache has to echo a path.
  before: `
    a2enmod --quiet include
    printf '<!--#echo var="DOCUMENT_URI" -->' >/srv/echo.shtml
    printf '%s\\n' 'AliasMatch "^/" /srv/echo.shtml' '<Directory /srv>' 'Options +Includes' \\
      'Require all granted' 'SetOutputFilter INCLUDES' '</Directory>' >/etc/apache2/conf-enabled/echo.conf
  `,
  start: ["Configure", "Start"],
  attach: "Attach",
  underLoad: ["Reload", "Restart"],
});
