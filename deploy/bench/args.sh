# W1 against Muster: the http source of deploy/w1 and its three targets.
w1sinks
ARGS=(-url http://127.0.0.1:8080/webhooks/http -secret w1-secret "${SINKS[@]}" -audit-dsn "$PGDSN"
      -audit-sql "select count(*) from audit_records where kind = 'delivery' and outcome = 'applied'")
N=${N:-20000} WARM=5000 RATES="400 2000"
