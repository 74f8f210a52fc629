# Makes reuseport-migrate@.service of reuseport-migrate.service: one SPEC, and no file is required.
1,/^\[Unit\]$/c\
# The sidecar as a service for one SPEC, with the sandbox of reuseport-migrate.service, from which it\
# is made (deploy/instance.sed):\
#\
#     systemctl enable --now reuseport-migrate@443\
#     systemctl enable --now reuseport-migrate@127.0.0.1:8080\
#     systemctl enable --now "$(systemd-escape --template=reuseport-migrate@.service '[::1]:8080')"\
#\
# Options are in /etc/default/reuseport-migrate-SPEC, with SPEC as in the name of the unit, if that\
# file exists; or in a drop-in (systemctl edit reuseport-migrate@443). METRICS= is the address of\
# /metrics: one for each instance.\
#\
#     OPTIONS="--hold 10s"\
#     METRICS=127.0.0.1:9945\
[Unit]
s/^Description=.*/Description=No connection lost when a server on %I restarts/
/^AssertPathExists=/d
s/^Environment=.*/Environment=METRICS=off OPTIONS=/
s|^EnvironmentFile=.*|EnvironmentFile=-/etc/default/reuseport-migrate-%i|
s|attach \$SPECS --wait --keep |attach %I --wait --keep --metrics ${METRICS} |
