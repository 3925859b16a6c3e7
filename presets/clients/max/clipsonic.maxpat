{
	"patcher": {
		"fileversion": 1,
		"appversion": {
			"major": 8,
			"minor": 6,
			"revision": 0,
			"architecture": "x64",
			"modernui": 1
		},
		"classnamespace": "box",
		"rect": [
			80.0,
			100.0,
			820.0,
			760.0
		],
		"openinpresentation": 1,
		"default_fontsize": 12.0,
		"default_fontname": "Arial",
		"gridsize": [
			8.0,
			8.0
		],
		"description": "Clipsonic: words into sound, played",
		"boxes": [
			{
				"box": {
					"background": 1,
					"bgcolor": [
						0.13,
						0.15,
						0.18,
						1.0
					],
					"id": "obj-1",
					"ignoreclick": 1,
					"maxclass": "panel",
					"mode": 0,
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						900.0,
						20.0,
						30.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						0.0,
						0.0,
						400.0,
						348.0
					],
					"rounded": 6
				}
			},
			{
				"box": {
					"fontsize": 15.0,
					"id": "obj-2",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						600.0,
						20.0,
						90.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						18.0,
						8.0,
						200.0,
						24.0
					],
					"text": "Clipsonic",
					"textcolor": [
						0.9,
						0.92,
						0.94,
						1.0
					]
				}
			},
			{
				"box": {
					"border": 0,
					"enablehscroll": 0,
					"enablevscroll": 0,
					"id": "obj-3",
					"maxclass": "bpatcher",
					"name": "clipsonic.bpatcher.maxpat",
					"numinlets": 1,
					"numoutlets": 2,
					"offset": [
						0.0,
						0.0
					],
					"outlettype": [
						"",
						""
					],
					"patching_rect": [
						20.0,
						150.0,
						360.0,
						152.0
					],
					"presentation": 1,
					"presentation_rect": [
						20.0,
						36.0,
						360.0,
						152.0
					],
					"viewvisibility": 1
				}
			},
			{
				"box": {
					"id": "obj-4",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						20.0,
						20.0,
						555.2,
						20.0
					],
					"text": "the daemon must run: clipsonic serve. Another port: give the bpatcher an argument."
				}
			},
			{
				"box": {
					"id": "obj-5",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						20.0,
						60.0,
						416.6,
						20.0
					],
					"text": "the client takes its own messages, and any OSC of the daemon:"
				}
			},
			{
				"box": {
					"id": "obj-6",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						20.0,
						90.0,
						179.0,
						22.0
					],
					"text": "generate thunder far away"
				}
			},
			{
				"box": {
					"id": "obj-7",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						210.0,
						90.0,
						73.4,
						22.0
					],
					"text": "seconds 8"
				}
			},
			{
				"box": {
					"id": "obj-8",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						300.0,
						90.0,
						93.2,
						22.0
					],
					"text": "variations 4"
				}
			},
			{
				"box": {
					"id": "obj-9",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						405.0,
						90.0,
						40.4,
						22.0
					],
					"text": "stop"
				}
			},
			{
				"box": {
					"id": "obj-10",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						460.0,
						90.0,
						86.6,
						22.0
					],
					"text": "/cancel all"
				}
			},
			{
				"box": {
					"id": "obj-11",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						560.0,
						90.0,
						86.6,
						22.0
					],
					"text": "/model/list"
				}
			},
			{
				"box": {
					"id": "obj-12",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						380.0,
						326.0,
						113.0,
						22.0
					],
					"text": "print clipsonic"
				}
			},
			{
				"box": {
					"id": "obj-13",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"float",
						"bang"
					],
					"patching_rect": [
						20.0,
						360.0,
						126.2,
						22.0
					],
					"text": "buffer~ clipsonic"
				}
			},
			{
				"box": {
					"id": "obj-14",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						20.0,
						326.0,
						113.0,
						22.0
					],
					"text": "prepend replace"
				}
			},
			{
				"box": {
					"bgcolor": [
						0.2,
						0.23,
						0.27,
						1.0
					],
					"buffername": "clipsonic",
					"id": "obj-15",
					"maxclass": "waveform~",
					"numinlets": 5,
					"numoutlets": 6,
					"outlettype": [
						"float",
						"float",
						"float",
						"float",
						"list",
						""
					],
					"patching_rect": [
						480.0,
						360.0,
						260.0,
						60.0
					],
					"presentation": 1,
					"presentation_rect": [
						20.0,
						196.0,
						360.0,
						72.0
					],
					"waveformcolor": [
						0.95,
						0.61,
						0.25,
						1.0
					]
				}
			},
			{
				"box": {
					"id": "obj-16",
					"maxclass": "newobj",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						90.0,
						440.0,
						66.8,
						22.0
					],
					"text": "gate 1 1"
				}
			},
			{
				"box": {
					"annotation": "Play every new clip",
					"id": "obj-17",
					"maxclass": "toggle",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						"int"
					],
					"parameter_enable": 0,
					"patching_rect": [
						20.0,
						434.0,
						22.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						22.0,
						312.0,
						20.0,
						20.0
					]
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-18",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						480.0,
						440.0,
						90.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						44.0,
						312.0,
						90.0,
						20.0
					],
					"text": "play new clips",
					"textcolor": [
						0.62,
						0.66,
						0.7,
						1.0
					]
				}
			},
			{
				"box": {
					"id": "obj-19",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						20.0,
						400.0,
						80.0,
						22.0
					],
					"text": "loadmess 1"
				}
			},
			{
				"box": {
					"annotation": "Play the clip from its start.",
					"annotation_name": "Play",
					"id": "obj-20",
					"maxclass": "live.text",
					"mode": 0,
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"",
						""
					],
					"parameter_enable": 1,
					"patching_rect": [
						180.0,
						440.0,
						60.0,
						24.0
					],
					"presentation": 1,
					"presentation_rect": [
						20.0,
						278.0,
						84.0,
						24.0
					],
					"saved_attribute_attributes": {
						"valueof": {
							"parameter_enum": [
								"off",
								"on"
							],
							"parameter_invisible": 2,
							"parameter_longname": "Play",
							"parameter_mmax": 1,
							"parameter_shortname": "Play",
							"parameter_type": 2
						}
					},
					"text": "Play",
					"texton": "Play",
					"varname": "Play"
				}
			},
			{
				"box": {
					"annotation": "Silence.",
					"annotation_name": "Silence",
					"id": "obj-21",
					"maxclass": "live.text",
					"mode": 0,
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"",
						""
					],
					"parameter_enable": 1,
					"patching_rect": [
						250.0,
						440.0,
						60.0,
						24.0
					],
					"presentation": 1,
					"presentation_rect": [
						112.0,
						278.0,
						84.0,
						24.0
					],
					"saved_attribute_attributes": {
						"valueof": {
							"parameter_enum": [
								"off",
								"on"
							],
							"parameter_invisible": 2,
							"parameter_longname": "Silence",
							"parameter_mmax": 1,
							"parameter_shortname": "Silence",
							"parameter_type": 2
						}
					},
					"text": "Stop",
					"texton": "Stop",
					"varname": "Silence"
				}
			},
			{
				"box": {
					"annotation": "Play round and round",
					"id": "obj-22",
					"maxclass": "toggle",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						"int"
					],
					"parameter_enable": 0,
					"patching_rect": [
						330.0,
						440.0,
						22.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						142.0,
						312.0,
						20.0,
						20.0
					]
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-23",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						580.0,
						440.0,
						40.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						164.0,
						312.0,
						40.0,
						20.0
					],
					"text": "loop",
					"textcolor": [
						0.62,
						0.66,
						0.7,
						1.0
					]
				}
			},
			{
				"box": {
					"id": "obj-24",
					"maxclass": "newobj",
					"numinlets": 3,
					"numoutlets": 2,
					"outlettype": [
						"signal",
						"signal"
					],
					"patching_rect": [
						20.0,
						530.0,
						126.2,
						22.0
					],
					"text": "groove~ clipsonic"
				}
			},
			{
				"box": {
					"id": "obj-25",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						100.0,
						486.0,
						28.0,
						22.0
					],
					"text": "0"
				}
			},
			{
				"box": {
					"id": "obj-26",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						250.0,
						486.0,
						40.4,
						22.0
					],
					"text": "stop"
				}
			},
			{
				"box": {
					"id": "obj-27",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						330.0,
						486.0,
						60.2,
						22.0
					],
					"text": "loop $1"
				}
			},
			{
				"box": {
					"id": "obj-28",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						"signal"
					],
					"patching_rect": [
						20.0,
						486.0,
						60.2,
						22.0
					],
					"text": "sig~ 1."
				}
			},
			{
				"box": {
					"id": "obj-29",
					"maxclass": "gain~",
					"numinlets": 2,
					"numoutlets": 2,
					"orientation": 1,
					"outlettype": [
						"signal",
						""
					],
					"parameter_enable": 0,
					"patching_rect": [
						20.0,
						576.0,
						140.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						220.0,
						282.0,
						100.0,
						18.0
					]
				}
			},
			{
				"box": {
					"id": "obj-30",
					"maxclass": "ezdac~",
					"numinlets": 2,
					"numoutlets": 0,
					"patching_rect": [
						20.0,
						626.0,
						45.0,
						45.0
					],
					"presentation": 1,
					"presentation_rect": [
						335.0,
						278.0,
						45.0,
						45.0
					]
				}
			},
			{
				"box": {
					"id": "obj-31",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						180.0,
						530.0,
						93.2,
						22.0
					],
					"text": "loadmess 128"
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-32",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						80.0,
						636.0,
						100.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						236.0,
						312.0,
						90.0,
						20.0
					],
					"text": "click for sound",
					"textcolor": [
						0.62,
						0.66,
						0.7,
						1.0
					]
				}
			}
		],
		"lines": [
			{
				"patchline": {
					"destination": [
						"obj-3",
						0
					],
					"source": [
						"obj-6",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-3",
						0
					],
					"source": [
						"obj-7",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-3",
						0
					],
					"source": [
						"obj-8",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-3",
						0
					],
					"source": [
						"obj-9",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-3",
						0
					],
					"source": [
						"obj-10",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-3",
						0
					],
					"source": [
						"obj-11",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-12",
						0
					],
					"source": [
						"obj-3",
						1
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-14",
						0
					],
					"source": [
						"obj-3",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-13",
						0
					],
					"source": [
						"obj-14",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-17",
						0
					],
					"source": [
						"obj-19",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-16",
						0
					],
					"source": [
						"obj-17",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-16",
						1
					],
					"source": [
						"obj-13",
						1
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-25",
						0
					],
					"source": [
						"obj-16",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-24",
						0
					],
					"source": [
						"obj-25",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-25",
						0
					],
					"source": [
						"obj-20",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-26",
						0
					],
					"source": [
						"obj-21",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-24",
						0
					],
					"source": [
						"obj-26",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-27",
						0
					],
					"source": [
						"obj-22",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-24",
						0
					],
					"source": [
						"obj-27",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-24",
						0
					],
					"source": [
						"obj-28",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-29",
						0
					],
					"source": [
						"obj-24",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-30",
						0
					],
					"source": [
						"obj-29",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-30",
						1
					],
					"source": [
						"obj-29",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-29",
						0
					],
					"source": [
						"obj-31",
						0
					]
				}
			}
		],
		"dependency_cache": [],
		"autosave": 0
	}
}
