package logtext

import (
	"fmt"
	"strings"
)

// A lineForm writes the i-th line of a log as one tool does. level is the
// kernel's: 3, or 4 for the lines of stacks and of the footer.
type lineForm struct {
	name  string
	write func(i, level int, line string) string
}

// stamp is the kernel's own time.
func kernelTime(i int) string { return fmt.Sprintf("[%5d.%06d]", 12+i/1000, i%1000) }

var levelNames = map[int]string{3: "err", 4: "warn"}

// lineForms are the forms of tools that pass on what the kernel prints, from
// their documentation or source.
var lineForms = []lineForm{
	{"plain", func(i, level int, l string) string { return l }},
	// kernel/printk/printk.c
	{"console", func(i, level int, l string) string { return kernelTime(i) + " " + l }},
	{"console with caller", func(i, level int, l string) string { return fmt.Sprintf("%s[%6s] %s", kernelTime(i), "T4926", l) }},
	{"console without time", func(i, level int, l string) string { return fmt.Sprintf("[%6s] %s", "C3", l) }},
	{"syslog(2)", func(i, level int, l string) string { return fmt.Sprintf("<%d>%s %s", level, kernelTime(i), l) }},
	{"seconds grow", func(i, level int, l string) string { return fmt.Sprintf("[%5d.%06d] %s", 99990+i, i, l) }},
	// Documentation/ABI/testing/dev-kmsg, Documentation/networking/netconsole.rst
	{"kmsg", func(i, level int, l string) string { return fmt.Sprintf("%d,%d,%d,-;%s", level, 95+i, 12000000+i, l) }},
	{"kmsg with caller", func(i, level int, l string) string {
		return fmt.Sprintf("%d,%d,%d,-,caller=T42;%s", level, 95+i, 12000000+i, l)
	}},
	{"kmsg with facility", func(i, level int, l string) string { return fmt.Sprintf("%d,%d,%d,-;%s", 8+level, i, i, l) }},
	{"netconsole", func(i, level int, l string) string {
		return fmt.Sprintf("6.1.0-rc1,%d,%d,%d,-,ncfrag=0/%d;%s", level, 95+i, 12000000+i, len(l), l)
	}},
	// util-linux sys-utils/dmesg.c
	{"dmesg -x", func(i, level int, l string) string {
		return fmt.Sprintf("%-6s:%-6s: %s %s", "kern", levelNames[level], kernelTime(i), l)
	}},
	{"dmesg -x -t", func(i, level int, l string) string { return fmt.Sprintf("%-6s:%-6s: %s", "kern", levelNames[level], l) }},
	{"dmesg -T", func(i, level int, l string) string { return fmt.Sprintf("[Wed Nov 25 07:59:%02d 2026] %s", 50+i%10, l) }},
	{"dmesg -T in French", func(i, level int, l string) string {
		return fmt.Sprintf("[mer. nov. 25 07:59:%02d 2026] %s", 50+i%10, l)
	}},
	{"dmesg -T over midnight", func(i, level int, l string) string {
		if i < 5 {
			return "[Mon Nov 30 23:59:59 2026] " + l
		}
		return "[Tue Dec  1 00:00:00 2026] " + l
	}},
	{"dmesg -d", func(i, level int, l string) string {
		return fmt.Sprintf("[%12.6f <%12.6f>] %s", 12.5+float64(i), 0.25, l)
	}},
	{"dmesg -H", func(i, level int, l string) string {
		if i == 0 || i == 9 {
			return fmt.Sprintf("[Nov25 08:0%d] %s", i/9, l)
		}
		return fmt.Sprintf("[  +%.6f] %s", float64(i)/1e3, l)
	}},
	{"dmesg --time-format iso", func(i, level int, l string) string {
		return fmt.Sprintf("2026-11-25T08:00:00,%06d+01:00 %s", i, l)
	}},
	{"dmesg of 2.40 with caller", func(i, level int, l string) string { return fmt.Sprintf("%s [%6s] %s", kernelTime(i), "C0", l) }},
	{"dmesg in colours", func(i, level int, l string) string {
		return fmt.Sprintf("\x1b[32m%s \x1b[0m\x1b[31m%s\x1b[0m", kernelTime(i), l)
	}},
	{"dmesg's blank lines", func(i, level int, l string) string {
		if l == "" {
			return "" // print_record() gives an empty record no prefix
		}
		return kernelTime(i) + " " + l
	}},
	{"dmesg's blank lines with caller", func(i, level int, l string) string {
		if l == "" {
			return ""
		}
		return fmt.Sprintf("%s [%6s] %s", kernelTime(i), "T42", l)
	}},
	{"dmesg's blank lines in a diff", func(i, level int, l string) string {
		if l == "" {
			return "+"
		}
		return "+" + kernelTime(i) + " " + l
	}},
	{"dmesg --json", func(i, level int, l string) string {
		return fmt.Sprintf("      },{\n         \"pri\": %d,\n         \"time\":    12.%06d,\n         \"msg\": \"%s\"", level, i, jsonText(l))
	}},
	// systemd src/shared/logs-show.c
	{"journal short", func(i, level int, l string) string { return fmt.Sprintf("Nov 25 08:00:%02d host kernel: %s", i%60, l) }},
	{"journal over midnight", func(i, level int, l string) string {
		if i < 5 {
			return "Nov 30 23:59:59 host kernel: " + l
		}
		return "Dec  1 00:00:00 host kernel: " + l
	}},
	{"journal short-precise", func(i, level int, l string) string {
		return fmt.Sprintf("Nov 25 08:00:00.%06d host kernel: %s", i, l)
	}},
	{"journal short-full", func(i, level int, l string) string { return "Wed 2026-11-25 08:00:00 UTC host kernel: " + l }},
	{"journal short-iso", func(i, level int, l string) string { return "2026-11-25T08:00:00+0100 host kernel: " + l }},
	{"journal short-iso-precise", func(i, level int, l string) string {
		return fmt.Sprintf("2026-11-25T08:00:00.%06d+0100 host kernel: %s", i, l)
	}},
	{"journal short-monotonic", func(i, level int, l string) string { return kernelTime(i) + " host kernel: " + l }},
	{"journal short-delta", func(i, level int, l string) string {
		return fmt.Sprintf("[%12.6f <%12.6f >] host kernel: %s", 12.5, 0.25, l)
	}},
	{"journal short-unix", func(i, level int, l string) string { return fmt.Sprintf("1764057600.%06d host kernel: %s", i, l) }},
	{"journal with-unit", func(i, level int, l string) string { return "Wed 2026-11-25 08:00:00 UTC host [kernel]: " + l }},
	{"journal verbose", func(i, level int, l string) string {
		return fmt.Sprintf("Wed 2026-11-25 08:00:00.%06d UTC [s=%d;i=%x]\n    PRIORITY=%d\n    MESSAGE=%s\n    _TRANSPORT=kernel", i, i, i, level, l)
	}},
	// rsyslog, syslog-ng, BusyBox, OpenWrt
	{"rsyslog", func(i, level int, l string) string { return "Nov  5 08:00:00 host kernel: " + kernelTime(i) + " " + l }},
	{"rsyslog iso", func(i, level int, l string) string {
		return "2026-11-25T08:00:00.123456+01:00 host kernel: " + kernelTime(i) + " " + l
	}},
	{"RFC 5424", func(i, level int, l string) string {
		return fmt.Sprintf(`<%d>1 2026-11-25T08:00:00.%03dZ host kernel - - [timeQuality tzKnown="1" isSynced="0"] %s`, level, i, l)
	}},
	{"busybox syslogd", func(i, level int, l string) string {
		return fmt.Sprintf("Nov 25 08:00:00 host kern.%s kernel: %s %s", levelNames[level], kernelTime(i), l)
	}},
	{"busybox syslogd without time", func(i, level int, l string) string {
		return fmt.Sprintf("Nov 25 08:00:00 host kern.%s kernel: %s", levelNames[level], l)
	}},
	{"OpenWrt logread", func(i, level int, l string) string {
		return fmt.Sprintf("Wed Nov 25 08:00:%02d 2026 kern.%s kernel: %s %s", i%60, levelNames[level], kernelTime(i), l)
	}},
	// AOSP system/logging
	{"logcat brief", func(i, level int, l string) string {
		return fmt.Sprintf("%c/%-8s(%5d): %s", map[int]byte{3: 'E', 4: 'W'}[level], "", 0, l)
	}},
	{"logcat threadtime", func(i, level int, l string) string {
		return fmt.Sprintf("11-25 08:00:00.%03d %5d %5d %c %-8s: %s", i, 0, 0, map[int]byte{3: 'E', 4: 'W'}[level], "", l)
	}},
	{"vendor kmsg", func(i, level int, l string) string {
		return fmt.Sprintf("<%d>%s c1    517 %s", level, kernelTime(i), l)
	}},
	{"vendor kmsg, comm", func(i, level int, l string) string { return kernelTime(i) + " [3:    kworker/3:1:  517] " + l }},
	{"vendor kmsg, in parentheses", func(i, level int, l string) string { return kernelTime(i) + "-(1)[517:kworker/1:2]" + l }},
	// CI
	{"GitHub Actions", func(i, level int, l string) string {
		return fmt.Sprintf("2026-11-25T08:00:00.%07dZ %s %s", i*1234, kernelTime(i), l)
	}},
	{"GitLab", func(i, level int, l string) string { return fmt.Sprintf("2026-11-25T08:00:00.%06dZ 01O %s", i, l) }},
	{"gh run view --log", func(i, level int, l string) string {
		return fmt.Sprintf("build (x86_64)\tRun kcsan\t2026-11-25T08:00:00.%07dZ %s %s", i, kernelTime(i), l)
	}},
	{"Jenkins timestamper", func(i, level int, l string) string { return fmt.Sprintf("[2026-11-25T08:00:00.%03dZ] %s", i, l) }},
	{"Jenkins elapsed", func(i, level int, l string) string { return "00:01:12.345  " + l }},
	{"Azure pipelines", func(i, level int, l string) string { return fmt.Sprintf("2026-11-25T08:00:00.%07dZ %s", i, l) }},
	{"LAVA", func(i, level int, l string) string {
		return fmt.Sprintf("2026-11-25T08:00:00.%06d  %s %s", i, kernelTime(i), l)
	}},
	{"LAVA yaml", func(i, level int, l string) string {
		return fmt.Sprintf(`- {"dt": "2026-11-25T08:00:00.%06d", "lvl": "target", "msg": "%s %s"}`, i, kernelTime(i), jsonText(l))
	}},
	{"LAVA yaml, single quotes", func(i, level int, l string) string {
		return fmt.Sprintf(`- {dt: '2026-11-25T08:00:00.%06d', lvl: target, msg: '%s %s'}`, i, kernelTime(i), l)
	}},
	{"Buildkite", func(i, level int, l string) string { return fmt.Sprintf("\x1b_bk;t=17640576%05d\x07%s\r", i, l) }},
	// containers
	{"docker compose", func(i, level int, l string) string { return "vm-1  | " + kernelTime(i) + " " + l }},
	{"docker logs -t", func(i, level int, l string) string {
		// RFC3339Nano leaves out zeros at the end.
		return "2026-11-25T08:00:0" + strings.TrimRight(fmt.Sprintf("1.%09d", i%3*100), "0.") + "Z " + l
	}},
	{"CRI", func(i, level int, l string) string {
		return fmt.Sprintf("2026-11-25T08:00:00.%09d+01:00 stdout F %s", i, l)
	}},
	{"kubectl --prefix", func(i, level int, l string) string { return "[pod/vm-0/qemu] " + kernelTime(i) + " " + l }},
	{"docker json-file", func(i, level int, l string) string {
		return fmt.Sprintf(`{"log":"%s\r\n","stream":"stdout","time":"2026-11-25T08:00:00.%09dZ"}`, jsonText(l), i)
	}},
	{"journal json", func(i, level int, l string) string {
		// The order of keys is not the same in all lines.
		if i%2 == 0 {
			return fmt.Sprintf(`{"__CURSOR":"s=%x","MESSAGE":"%s","PRIORITY":"%d"}`, i, jsonText(l), level)
		}
		return fmt.Sprintf(`{"PRIORITY":"%d","MESSAGE":"%s","__MONOTONIC_TIMESTAMP":"12000%03d"}`, level, jsonText(l), i)
	}},
	{"journal json-pretty", func(i, level int, l string) string {
		return fmt.Sprintf("{\n\t\"PRIORITY\" : \"%d\",\n\t\"MESSAGE\" : \"%s\"\n}", level, jsonText(l))
	}},
	{"journal json-sse", func(i, level int, l string) string {
		return fmt.Sprintf("data: {\"PRIORITY\":\"%d\",\"MESSAGE\":\"%s\"}\n", level, jsonText(l))
	}},
	{"journal json-seq", func(i, level int, l string) string { return fmt.Sprintf("\x1e{\"MESSAGE\":\"%s\"}", jsonText(l)) }},
	{"structured log", func(i, level int, l string) string {
		return fmt.Sprintf(`2026-11-25T08:00:00Z INFO {"event":"console","line":"%s"}`, jsonText(kernelTime(i)+" "+l))
	}},
	// serial consoles
	{"minicom", func(i, level int, l string) string {
		return fmt.Sprintf("[2026-11-25 08:00:00.%03d] %s %s\r", i, kernelTime(i), l)
	}},
	{"grabserial", func(i, level int, l string) string { return fmt.Sprintf("[%d.%06d 0.%06d] %s", 1+i, i, i, l) }},
	{"ts(1)", func(i, level int, l string) string { return fmt.Sprintf("Nov 25 08:00:%02d %s", i%60, l) }},
	{"ts -s", func(i, level int, l string) string { return fmt.Sprintf("00:00:%02d %s", i%60, l) }},
	{"tio", func(i, level int, l string) string { return fmt.Sprintf("[08:00:00.%03d] %s", i, l) }},
	{"LF CR", func(i, level int, l string) string { return "\r" + kernelTime(i) + " " + l }},
	{"CR CR LF", func(i, level int, l string) string { return kernelTime(i) + " " + l + "\r\r" }},
	{"cat -v", func(i, level int, l string) string { return kernelTime(i) + " " + l + "^M" }},
	{"python repr", func(i, level int, l string) string { return fmt.Sprintf(`b'%s %s\r\n'`, kernelTime(i), l) }},
	{"quoted lines", func(i, level int, l string) string { return fmt.Sprintf("    %q,", kernelTime(i)+" "+l) }},
	// people
	{"indented", func(i, level int, l string) string { return "    " + l }},
	{"tab", func(i, level int, l string) string { return "\t" + l }},
	{"quoted", func(i, level int, l string) string { return "> " + l }},
	{"quoted, trimmed", func(i, level int, l string) string { return strings.TrimRight("> > > "+l, " ") }},
	{"quoted tight", func(i, level int, l string) string { return ">>> " + l }},
	{"quoted, with time", func(i, level int, l string) string { return "> > " + kernelTime(i) + " " + l }},
	{"| quote", func(i, level int, l string) string { return "| " + l }},
	{"* comment", func(i, level int, l string) string { return " * " + l }},
	{"// comment", func(i, level int, l string) string { return "//   " + l }},
	{"# comment", func(i, level int, l string) string { return strings.TrimRight("# "+l, " ") }},
	{"diff +", func(i, level int, l string) string { return "+" + l }},
	{"diff -", func(i, level int, l string) string { return "-" + kernelTime(i) + " " + l }},
	{"diff of diff", func(i, level int, l string) string { return "++" + l }},
	{"grep -n", func(i, level int, l string) string { return fmt.Sprintf("%d:%s", 95+i, l) }},
	{"grep -A", func(i, level int, l string) string {
		if strings.Contains(l, title) {
			return fmt.Sprintf("console.log:%d:%s", 95+i, l)
		}
		return fmt.Sprintf("console.log-%d-%s", 95+i, l)
	}},
	{"grep in files", func(i, level int, l string) string { return "results/run-2/console.log:" + kernelTime(i) + " " + l }},
	{"cat -n", func(i, level int, l string) string { return fmt.Sprintf("%6d\t%s", 95+i, l) }},
	{"nl -s", func(i, level int, l string) string { return fmt.Sprintf("%6d  %s %s", 95+i, kernelTime(i), l) }},
	{"less -N", func(i, level int, l string) string { return fmt.Sprintf("%7d %s", 95+i, l) }},
	{"kernel test robot", func(i, level int, l string) string { return "kern  :err   : " + kernelTime(i) + " " + l }},
	{"script of many hosts", func(i, level int, l string) string { return "host3: " + kernelTime(i) + " " + l }},
	{"ansible", func(i, level int, l string) string { return "node-a | " + kernelTime(i) + " " + l }},
}

// jsonText writes a string as JSON does.
func jsonText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "<", `\u003c`, ">", `\u003e`).Replace(s)
}

// levelOf is the level that the kernel prints a line of a report with.
func levelOf(line string) int {
	if strings.HasPrefix(line, " ") && !strings.HasPrefix(line, " bits") || strings.HasPrefix(line, "CPU: ") || strings.HasPrefix(line, "Hardware name") {
		return 4
	}
	return 3
}

// write gives a report in a form.
func (f lineForm) log(lines []string) string {
	var b strings.Builder
	if f.name == "dmesg --json" {
		b.WriteString("{\n   \"dmesg\": [\n      {\n         \"pri\": 6\n")
	}
	for i, l := range lines {
		b.WriteString(f.write(i, levelOf(l), l) + "\n")
	}
	if f.name == "dmesg --json" {
		b.WriteString("      }\n   ]\n}\n")
	}
	return b.String()
}
