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
			1000.0,
			540.0
		],
		"openinpresentation": 1,
		"default_fontsize": 12.0,
		"default_fontname": "Arial",
		"gridsize": [
			8.0,
			8.0
		],
		"description": "Clipsonic: words into sound",
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
						360.0,
						152.0
					],
					"rounded": 6
				}
			},
			{
				"box": {
					"id": "obj-2",
					"maxclass": "newobj",
					"numinlets": 2,
					"numoutlets": 4,
					"outlettype": [
						"",
						"",
						"",
						""
					],
					"patching_rect": [
						20.0,
						240.0,
						820.0,
						22.0
					],
					"saved_object_attributes": {
						"filename": "clipsonic-client.js",
						"parameter_enable": 0
					},
					"text": "js clipsonic-client.js #1"
				}
			},
			{
				"box": {
					"id": "obj-3",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						828.0,
						200.0,
						172.4,
						22.0
					],
					"text": "udpreceive 7461 @quiet 1"
				}
			},
			{
				"box": {
					"id": "obj-4",
					"maxclass": "newobj",
					"numinlets": 0,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						828.0,
						165.0,
						66.8,
						22.0
					],
					"text": "r #0-ear"
				}
			},
			{
				"box": {
					"id": "obj-5",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						240.0,
						318.0,
						260.0,
						20.0
					],
					"text": "replies come to a port of this patch's own"
				}
			},
			{
				"box": {
					"comment": "generate, image, blend, seconds, variations, stop, fire, /any/osc",
					"id": "obj-6",
					"maxclass": "inlet",
					"numinlets": 0,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						785.0,
						142.0,
						30.0,
						30.0
					]
				}
			},
			{
				"box": {
					"id": "obj-7",
					"maxclass": "newobj",
					"numinlets": 0,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						706.0,
						150.0,
						66.8,
						22.0
					],
					"text": "r #0-ask"
				}
			},
			{
				"box": {
					"id": "obj-8",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						20.0,
						290.0,
						159.2,
						22.0
					],
					"text": "udpsend 127.0.0.1 9460"
				}
			},
			{
				"box": {
					"id": "obj-9",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						289.0,
						290.0,
						66.8,
						22.0
					],
					"text": "s #0-ear"
				}
			},
			{
				"box": {
					"id": "obj-10",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						"bang"
					],
					"patching_rect": [
						574.0,
						150.0,
						66.8,
						22.0
					],
					"text": "loadbang"
				}
			},
			{
				"box": {
					"id": "obj-11",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						"bang"
					],
					"patching_rect": [
						648.0,
						110.0,
						66.8,
						22.0
					],
					"text": "freebang"
				}
			},
			{
				"box": {
					"id": "obj-12",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						648.0,
						150.0,
						47.0,
						22.0
					],
					"text": "leave"
				}
			},
			{
				"box": {
					"annotation": "What you want to hear. Enter makes it.",
					"bgcolor": [
						0.2,
						0.23,
						0.27,
						1.0
					],
					"border": 0.0,
					"fontsize": 13.0,
					"id": "obj-13",
					"keymode": 1,
					"maxclass": "textedit",
					"numinlets": 1,
					"numoutlets": 4,
					"outlettype": [
						"",
						"int",
						"",
						""
					],
					"outputmode": 1,
					"parameter_enable": 0,
					"patching_rect": [
						20.0,
						56.0,
						200.0,
						40.0
					],
					"presentation": 1,
					"presentation_rect": [
						8.0,
						8.0,
						344.0,
						44.0
					],
					"rounded": 4.0,
					"text": "sea waves",
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
					"activebgcolor": [
						0.95,
						0.61,
						0.25,
						1.0
					],
					"activetextcolor": [
						0.13,
						0.15,
						0.18,
						1.0
					],
					"annotation": "Make a clip.",
					"annotation_name": "Make",
					"id": "obj-14",
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
						20.0,
						20.0,
						70.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						216.0,
						58.0,
						64.0,
						22.0
					],
					"saved_attribute_attributes": {
						"valueof": {
							"parameter_enum": [
								"off",
								"on"
							],
							"parameter_invisible": 2,
							"parameter_longname": "Make",
							"parameter_mmax": 1,
							"parameter_shortname": "Make",
							"parameter_type": 2
						}
					},
					"text": "Make",
					"texton": "Make",
					"varname": "Make"
				}
			},
			{
				"box": {
					"annotation": "Stop this patch's jobs.",
					"annotation_name": "Stop",
					"id": "obj-15",
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
						20.0,
						70.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						288.0,
						58.0,
						64.0,
						22.0
					],
					"saved_attribute_attributes": {
						"valueof": {
							"parameter_enum": [
								"off",
								"on"
							],
							"parameter_invisible": 2,
							"parameter_longname": "Stop",
							"parameter_mmax": 1,
							"parameter_shortname": "Stop",
							"parameter_type": 2
						}
					},
					"text": "Stop",
					"texton": "Stop",
					"varname": "Stop"
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-16",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						340.0,
						20.0,
						60.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						6.0,
						59.0,
						52.0,
						20.0
					],
					"text": "seconds",
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
					"id": "obj-17",
					"maxclass": "flonum",
					"maximum": 30.0,
					"minimum": 0.5,
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"",
						"bang"
					],
					"parameter_enable": 0,
					"patching_rect": [
						340.0,
						92.0,
						60.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						60.0,
						58.0,
						50.0,
						22.0
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
						450.0,
						20.0,
						60.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						118.0,
						59.0,
						40.0,
						20.0
					],
					"text": "takes",
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
					"maxclass": "number",
					"maximum": 16,
					"minimum": 1,
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"",
						"bang"
					],
					"parameter_enable": 0,
					"patching_rect": [
						450.0,
						92.0,
						60.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						160.0,
						58.0,
						44.0,
						22.0
					]
				}
			},
			{
				"box": {
					"id": "obj-20",
					"maxclass": "newobj",
					"numinlets": 2,
					"numoutlets": 2,
					"outlettype": [
						"",
						""
					],
					"patching_rect": [
						20.0,
						110.0,
						80.0,
						22.0
					],
					"text": "route text"
				}
			},
			{
				"box": {
					"id": "obj-21",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						20.0,
						150.0,
						119.6,
						22.0
					],
					"text": "prepend generate"
				}
			},
			{
				"box": {
					"id": "obj-22",
					"maxclass": "message",
					"numinlets": 2,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						250.0,
						150.0,
						40.4,
						22.0
					],
					"text": "stop"
				}
			},
			{
				"box": {
					"id": "obj-23",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						340.0,
						56.0,
						86.6,
						22.0
					],
					"text": "loadmess 5."
				}
			},
			{
				"box": {
					"id": "obj-24",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						312.0,
						150.0,
						113.0,
						22.0
					],
					"text": "prepend seconds"
				}
			},
			{
				"box": {
					"id": "obj-25",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						450.0,
						56.0,
						80.0,
						22.0
					],
					"text": "loadmess 1"
				}
			},
			{
				"box": {
					"id": "obj-26",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						432.0,
						150.0,
						132.8,
						22.0
					],
					"text": "prepend variations"
				}
			},
			{
				"box": {
					"id": "obj-27",
					"maxclass": "newobj",
					"numinlets": 4,
					"numoutlets": 4,
					"outlettype": [
						"",
						"",
						"",
						""
					],
					"patching_rect": [
						559.0,
						290.0,
						220.0,
						22.0
					],
					"text": "route progress status takes"
				}
			},
			{
				"box": {
					"id": "obj-28",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						628.0,
						330.0,
						86.6,
						22.0
					],
					"text": "prepend set"
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-29",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						628.0,
						366.0,
						130.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						6.0,
						126.0,
						346.0,
						20.0
					],
					"text": "looking for the daemon",
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
					"annotation": "Clips of this patch, the newest last",
					"id": "obj-30",
					"items": [
						"takes"
					],
					"maxclass": "umenu",
					"numinlets": 1,
					"numoutlets": 3,
					"outlettype": [
						"int",
						"",
						""
					],
					"parameter_enable": 0,
					"patching_rect": [
						766.0,
						400.0,
						90.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						8.0,
						100.0,
						128.0,
						22.0
					]
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
					"id": "obj-31",
					"ignoreclick": 1,
					"maxclass": "multislider",
					"numinlets": 1,
					"numoutlets": 2,
					"orientation": 0,
					"outlettype": [
						"",
						""
					],
					"parameter_enable": 0,
					"patching_rect": [
						480.0,
						366.0,
						120.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						8.0,
						86.0,
						344.0,
						8.0
					],
					"setminmax": [
						0.0,
						1.0
					],
					"setstyle": 1,
					"size": 1,
					"slidercolor": [
						0.95,
						0.61,
						0.25,
						1.0
					]
				}
			},
			{
				"box": {
					"id": "obj-32",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						766.0,
						434.0,
						93.2,
						22.0
					],
					"text": "prepend take"
				}
			},
			{
				"box": {
					"id": "obj-33",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						766.0,
						466.0,
						66.8,
						22.0
					],
					"text": "s #0-ask"
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
					"id": "obj-34",
					"ignoreclick": 1,
					"maxclass": "panel",
					"mode": 0,
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						610.0,
						56.0,
						22.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						300.0,
						100.0,
						52.0,
						22.0
					],
					"rounded": 4
				}
			},
			{
				"box": {
					"annotation": "Drop a picture or a video here to hear what is seen in it, with the prompt's words where there are any.",
					"border": 0.0,
					"id": "obj-35",
					"maxclass": "dropfile",
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"",
						""
					],
					"patching_rect": [
						550.0,
						56.0,
						60.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						300.0,
						100.0,
						52.0,
						22.0
					]
				}
			},
			{
				"box": {
					"id": "obj-36",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"bang",
						""
					],
					"patching_rect": [
						550.0,
						92.0,
						47.0,
						22.0
					],
					"text": "t b s"
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-37",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						550.0,
						20.0,
						80.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						222.0,
						101.0,
						76.0,
						20.0
					],
					"text": "drop picture",
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
					"id": "obj-38",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						725.0,
						92.0,
						113.0,
						22.0
					],
					"text": "prepend dropped"
				}
			},
			{
				"box": {
					"fontsize": 11.0,
					"id": "obj-39",
					"maxclass": "comment",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						760.0,
						20.0,
						50.0,
						20.0
					],
					"presentation": 1,
					"presentation_rect": [
						138.0,
						101.0,
						36.0,
						20.0
					],
					"text": "blend",
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
					"annotation": "0 is the words alone, 1 the picture alone.",
					"id": "obj-40",
					"maxclass": "flonum",
					"maximum": 1.0,
					"minimum": 0.0,
					"numinlets": 1,
					"numoutlets": 2,
					"outlettype": [
						"",
						"bang"
					],
					"parameter_enable": 0,
					"patching_rect": [
						860.0,
						56.0,
						50.0,
						22.0
					],
					"presentation": 1,
					"presentation_rect": [
						174.0,
						100.0,
						44.0,
						22.0
					]
				}
			},
			{
				"box": {
					"id": "obj-41",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						760.0,
						56.0,
						93.2,
						22.0
					],
					"text": "loadmess 0.5"
				}
			},
			{
				"box": {
					"id": "obj-42",
					"maxclass": "newobj",
					"numinlets": 1,
					"numoutlets": 1,
					"outlettype": [
						""
					],
					"patching_rect": [
						850.0,
						92.0,
						99.8,
						22.0
					],
					"text": "prepend blend"
				}
			},
			{
				"box": {
					"id": "obj-43",
					"maxclass": "newobj",
					"numinlets": 2,
					"numoutlets": 2,
					"outlettype": [
						"",
						""
					],
					"patching_rect": [
						828.0,
						290.0,
						80.0,
						22.0
					],
					"text": "route clip"
				}
			},
			{
				"box": {
					"comment": "path of every new or chosen clip",
					"id": "obj-44",
					"maxclass": "outlet",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						828.0,
						350.0,
						30.0,
						30.0
					]
				}
			},
			{
				"box": {
					"comment": "everything the daemon says",
					"id": "obj-45",
					"maxclass": "outlet",
					"numinlets": 1,
					"numoutlets": 0,
					"patching_rect": [
						920.0,
						350.0,
						30.0,
						30.0
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
						"obj-4",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-2",
						1
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
						"obj-2",
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
						"obj-2",
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
						"obj-8",
						0
					],
					"source": [
						"obj-2",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-9",
						0
					],
					"source": [
						"obj-2",
						1
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-2",
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
						"obj-12",
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
						"obj-2",
						0
					],
					"source": [
						"obj-12",
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
						"obj-20",
						0
					],
					"source": [
						"obj-13",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-21",
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
						"obj-2",
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
						"obj-22",
						0
					],
					"source": [
						"obj-15",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-2",
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
						"obj-17",
						0
					],
					"source": [
						"obj-23",
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
						"obj-17",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-2",
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
						"obj-19",
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
						"obj-26",
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
						"obj-2",
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
						"obj-2",
						2
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-31",
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
						"obj-28",
						0
					],
					"source": [
						"obj-27",
						1
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
						"obj-28",
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
						"obj-27",
						2
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-32",
						0
					],
					"source": [
						"obj-30",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-33",
						0
					],
					"source": [
						"obj-32",
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
						"obj-36",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-36",
						0
					],
					"source": [
						"obj-35",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-38",
						0
					],
					"source": [
						"obj-36",
						1
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-2",
						0
					],
					"source": [
						"obj-38",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-40",
						0
					],
					"source": [
						"obj-41",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-42",
						0
					],
					"source": [
						"obj-40",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-2",
						0
					],
					"source": [
						"obj-42",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-43",
						0
					],
					"source": [
						"obj-2",
						3
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-44",
						0
					],
					"source": [
						"obj-43",
						0
					]
				}
			},
			{
				"patchline": {
					"destination": [
						"obj-45",
						0
					],
					"source": [
						"obj-3",
						0
					]
				}
			}
		],
		"dependency_cache": [],
		"autosave": 0
	}
}
