/** A map of the world in tiles, one for each country and roughly where it lies; the size of a country says nothing here. */

/** Rows from north to south: countries (ISO 3166) with the column in which they stand, from west to east. */
const ROWS = [
  'GL7 IS10 NO13 SE14 FI15 RU20',
  'CA2 IE10 GB11 DK13 EE15 LV16',
  'US2 NL12 DE13 PL14 LT15 BY16 KZ19 MN22',
  'MX2 BS5 BE11 LU12 CZ13 SK14 UA15 MD16 UZ19 KG20 CN22 KP24 JP26',
  'GT2 BZ3 CU4 HT5 DO6 PR7 FR11 CH12 AT13 HU14 RO15 GE17 AZ18 TM19 TJ20 KR24',
  'SV2 HN3 JM5 PT9 ES10 IT12 SI13 HR14 RS15 BG16 AM17 AF19 PK20 NP21 BT22 HK24 TW25',
  'NI3 BB7 MT12 BA13 AL14 MK15 GR16 TR17 IR19 IN21 BD22 MM23 LA24 VN25 PH26',
  'CR3 PA4 TT7 MA10 DZ11 TN12 LY13 CY16 LB17 SY18 IQ19 KW20 LK21 TH23 KH24',
  'CO4 VE5 GY6 SR7 MR10 ML11 NE12 TD13 EG14 IL16 JO17 SA18 BH19 QA20 MV21 MY23 SG24 BN25',
  'EC4 BR6 SN9 GN10 BF11 BJ12 NG13 SD14 ER15 YE17 OM18 AE19 ID24 PG26',
  'PE4 BO5 PY6 SL9 LR10 CI11 TG12 CM13 CF14 SS15 ET16 DJ17 SO18 TL25',
  'CL4 AR5 UY6 GH11 GA13 CG14 UG15 KE16',
  'AO13 CD14 RW15 TZ16 SC18',
  'NA13 ZM14 BI15 MW16 MG18 MU19 AU25 FJ27',
  'BW14 ZW15 MZ16 NZ27',
  'ZA14 LS15 SZ16',
];

/** Every tile: `{ code, x, y }`. */
export const TILES = ROWS.flatMap((row, y) => row.split(' ').map(word => ({ code: word.slice(0, 2), x: Number(word.slice(2)) - 2, y })));
export const COLUMNS = 26;
export const LINES = ROWS.length;
