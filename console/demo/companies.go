package demo

// inventedSectors are sectors of companies that do not exist.
var inventedSectors = []sector{
	{"technology", 0.55, []company{
		{"NIMB", "Nimbus Compute", 184.20, 0.34},
		{"QBIT", "Qubit Foundry", 62.75, 0.52},
		{"LOOM", "Loom Networks", 97.10, 0.31},
		{"PIXL", "Pixel & Parchment", 41.30, 0.38},
	}},
	{"energy", 0.60, []company{
		{"TIDE", "Tidewater Power", 73.60, 0.27},
		{"GUST", "Gust Turbines", 28.45, 0.41},
		{"EMBR", "Ember Grid", 55.05, 0.24},
		{"SUNN", "Sunnyside Solar", 33.80, 0.45},
	}},
	{"finance", 0.58, []company{
		{"ANVL", "Anvil Bank", 112.40, 0.22},
		{"COPR", "Copper Trust", 47.95, 0.25},
		{"HRTH", "Hearth Insurance", 88.15, 0.19},
		{"VALT", "Vault & Daughters", 134.60, 0.23},
	}},
	{"health", 0.45, []company{
		{"CURA", "Cura Remedies", 156.30, 0.26},
		{"HELX", "Helix Garden", 38.20, 0.55},
		{"PULS", "Pulse Devices", 79.90, 0.29},
		{"BREZ", "Breeze Breathing", 24.65, 0.43},
	}},
	{"food", 0.40, []company{
		{"OATS", "Oats & Others", 51.25, 0.17},
		{"BREW", "Brewster Coffee", 66.70, 0.21},
		{"PRMN", "Pearmain Orchards", 19.85, 0.24},
		{"SLTF", "Salt Flat Foods", 43.10, 0.18},
	}},
	{"transport", 0.52, []company{
		{"KEEL", "Keel Shipping", 58.35, 0.33},
		{"RAIL", "Long Rail", 121.80, 0.20},
		{"WING", "Wingspan Air", 22.90, 0.46},
		{"CRGO", "Cargo Bicycle", 14.75, 0.39},
	}},
}
