// Stands for a report renderer that breaks: it says what it is doing, then exits with code 3.
const order = process.argv[2] ?? "unknown"
process.stdout.write(`rendering the report of order ${order}\n`)
process.stderr.write("template case-report.tpl: unknown field 'carrier.lastScan'\n")
process.exitCode = 3
