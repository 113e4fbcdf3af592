package summary

import "fmt"

// release is a Windows release by the build number its kernel reports. From
// 19041 on, later releases of a family keep the first one's kernel and number.
type release struct {
	build          uint32
	client, server string
}

// Source: Microsoft's release-information pages.
var releases = []release{
	{2600, "Windows XP", ""},
	{3790, "Windows XP x64", "Windows Server 2003"},
	{6000, "Windows Vista", ""},
	{6001, "Windows Vista SP1", "Windows Server 2008"},
	{6002, "Windows Vista SP2", "Windows Server 2008 SP2"},
	{7600, "Windows 7", "Windows Server 2008 R2"},
	{7601, "Windows 7 SP1", "Windows Server 2008 R2 SP1"},
	{9200, "Windows 8", "Windows Server 2012"},
	{9600, "Windows 8.1", "Windows Server 2012 R2"},
	{10240, "Windows 10 1507", ""},
	{10586, "Windows 10 1511", ""},
	{14393, "Windows 10 1607", "Windows Server 2016"},
	{15063, "Windows 10 1703", ""},
	{16299, "Windows 10 1709", "Windows Server 1709"},
	{17134, "Windows 10 1803", "Windows Server 1803"},
	{17763, "Windows 10 1809", "Windows Server 2019"},
	{18362, "Windows 10 1903 or 1909", "Windows Server 1903 or 1909"},
	{19041, "Windows 10 2004 to 22H2", "Windows Server 2004 or 20H2"},
	{20348, "", "Windows Server 2022"},
	{22000, "Windows 11 21H2", ""},
	{22621, "Windows 11 22H2 or 23H2", ""},
	{25398, "", "Windows Server 23H2"},
	{26100, "Windows 11 24H2 or 25H2", "Windows Server 2025"},
}

// The values of KUSER_SHARED_DATA.NtProductType.
const (
	productWorkstation = 1
	productDomain      = 2
	productServer      = 3
)

// versionName words a build: its release, or the last one before it.
func versionName(build, product uint32) string {
	if build == 0 {
		return ""
	}
	if product == 0 {
		return fmt.Sprintf("build %d", build) // client and server differ by it alone
	}
	server := product == productDomain || product == productServer
	name := ""
	for _, r := range releases {
		if r.build > build {
			break
		}
		name = r.client
		if name == "" || server && r.server != "" {
			name = r.server
		}
		if r.build != build {
			name += " or later"
		}
	}
	if name == "" {
		name = "Windows"
	}
	return fmt.Sprintf("%s (build %d)", name, build)
}

// productName words a product type; "" for one that does not exist.
func productName(product uint32) string {
	switch product {
	case productWorkstation:
		return "workstation"
	case productDomain:
		return "domain controller"
	case productServer:
		return "server"
	}
	return ""
}
