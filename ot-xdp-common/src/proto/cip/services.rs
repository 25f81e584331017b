//! The services of CIP: one table a class, and the kind tables that the parser reads.
//!
//! Source: The CIP Networks Library, volume 1, appendix A (common services) and chapter 5 (object classes); volume 5 (CIP
//! Safety); Rockwell Automation 1756-PM020 (tags); Rockwell's own classes as measured in captures of RSLogix.

use super::{CONNECTION_MANAGER, PCCC, PROGRAM, REPLY, SAFETY, SYMBOL, SYMBOLIC, TEMPLATE, TREND, with_pccc};
use crate::op::{Class, Kind};
use crate::proto::{Protocol, Row, pccc};

functions! {
    /// Every class.
    COMMON[128], common_rows, base 0;
    0x01 "Get_Attributes_All" Read;
    0x02 "Set_Attributes_All" Config!;
    0x03 "Get_Attribute_List" Read;
    0x04 "Set_Attribute_List" Config!;
    0x05 "Reset" Control!;
    0x06 "Start" Control!;
    0x07 "Stop" Control!;
    0x08 "Create" Config!;
    0x09 "Delete" Config!;
    0x0A "Multiple_Service_Packet" Session;
    0x0D "Apply_Attributes" Config!;
    0x0E "Get_Attribute_Single" Read;
    0x10 "Set_Attribute_Single" Config!;
    0x11 "Find_Next_Object_Instance" Discovery;
    0x15 "Restore" Config!;
    0x16 "Save" Config!;
    0x17 "NOP" Session;
    0x18 "Get_Member" Read;
    0x19 "Set_Member" Write!;
    0x1A "Insert_Member" Config!;
    0x1B "Remove_Member" Config!;
    0x1C "GroupSync" Config!;
    0x1D "Get_Connection_Point_Member_List" Read;
}

functions! {
    /// Services from 4B on in replies, and in requests of classes without a table of their own.
    REPLIES[128], reply_rows, base 0;
    0x4B "service of the object 0x4B" Response;
    0x4C "Read_Tag (or another object's 0x4C)" Read;
    0x4D "Write_Tag (or another object's 0x4D)" Write!;
    0x4E "Forward_Close or Read_Modify_Write_Tag (or another object's 0x4E)" Response;
    0x4F "service of the object 0x4F" Response;
    0x50 "service of the object 0x50" Response;
    0x51 "service of the object 0x51" Response;
    0x52 "Read_Tag_Fragmented or Unconnected_Send (or another object's 0x52)" Read;
    0x53 "Write_Tag_Fragmented (or another object's 0x53)" Write!;
    0x54 "Forward_Open (or another object's 0x54)" Session;
    0x55 "Get_Instance_Attribute_List (or another object's 0x55)" Discovery;
    0x5B "Large_Forward_Open (or another object's 0x5B)" Session;
    0x5C "service of the object 0x5C" Response;
}

functions! {
    /// Paths with a tag name; classes 6B, 6C, 72.
    TAGS[128], tag_rows, base SYMBOLIC;
    0x4C "Read_Tag" Read;
    0x4D "Write_Tag" Write!;
    0x4E "Read_Modify_Write_Tag" Write!;
    0x52 "Read_Tag_Fragmented" Read;
    0x53 "Write_Tag_Fragmented" Write!;
    0x55 "Get_Instance_Attribute_List" Discovery;
}

functions! {
    IDENTITY_01[128], identity_rows, base 0x01 << 8;
    0x05 "Identity Reset" Control!;
}

functions! {
    CONNECTION_MANAGER_06[128], connection_manager_rows, base CONNECTION_MANAGER << 8;
    0x4E "Forward_Close" Session;
    0x52 "Unconnected_Send" Session;
    0x54 "Forward_Open" Session;
    0x56 "Get_Connection_Data" Diagnostic;
    0x57 "Search_Connection_Data" Diagnostic;
    0x5A "Get_Connection_Owner" Diagnostic;
    0x5B "Large_Forward_Open" Session;
}

functions! {
    /// Those that open a connection of CIP Safety.
    SAFETY_OPEN[128], safety_open_rows, base SAFETY | CONNECTION_MANAGER << 8;
    0x54 "Forward_Open of a safety connection" Session;
    0x5B "Large_Forward_Open of a safety connection" Session;
}
const _: () =
    assert!(SAFETY_OPEN[0x54] == CONNECTION_MANAGER_06[0x54] && SAFETY_OPEN[0x5B] == CONNECTION_MANAGER_06[0x5B]);

functions! {
    FILE_37[128], file_rows, base 0x37 << 8;
    0x4B "File Initiate_Upload" File;
    0x4C "File Initiate_Download" File!;
    0x4D "File Initiate_Partial_Read" File;
    0x4E "File Initiate_Partial_Write" File!;
    0x4F "File Upload_Transfer" File;
    0x50 "File Download_Transfer" File!;
    0x51 "File Clear" File!;
}

functions! {
    SAFETY_SUPERVISOR_39[128], safety_supervisor_rows, base 0x39 << 8;
    0x4C "Safety Recover" Control!;
    0x4E "Perform Diagnostics" Diagnostic!;
    0x4F "Configure Request" Config!;
    0x50 "Validate Configuration" Config!;
    0x51 "Set Password" Auth!;
    0x52 "Configuration (Un)Lock" Config!;
    0x53 "Mode Change" Control!;
    0x54 "Safety Reset" Control!;
    0x55 "Reset Password" Auth!;
    0x56 "Propose TUNID" Config!;
    0x57 "Apply TUNID" Config!;
    0x58 "Propose TUNID List" Config!;
    0x59 "Apply TUNID List" Config!;
}

functions! {
    SAFETY_VALIDATOR_3A[128], safety_validator_rows, base 0x3A << 8;
    0x4B "Safety Validator Reset Error" Control!;
}

functions! {
    MOTION_AXIS_42[128], motion_axis_rows, base 0x42 << 8;
    0x4B "Get Axis Attribute List" Read;
    0x4C "Set Axis Attribute List" Config!;
    0x4D "Set Cyclic Write List" Config!;
    0x4E "Set Cyclic Read List" Config!;
    0x4F "Run Motor Test" Control!;
    0x50 "Get Motor Test Data" Diagnostic;
    0x51 "Run Inertia Test" Control!;
    0x52 "Get Inertia Test Data" Diagnostic;
    0x53 "Run Hookup Test" Control!;
    0x54 "Get Hookup Test Data" Diagnostic;
}

functions! {
    MODBUS_44[128], modbus_rows, base 0x44 << 8;
    0x4B "Read Discrete Inputs" Read;
    0x4C "Read Coils" Read;
    0x4D "Read Input Registers" Read;
    0x4E "Read Holding Registers" Read;
    0x4F "Write Coils" Write!;
    0x50 "Write Holding Registers" Write!;
    0x51 "Modbus Passthrough" Write!;
}

functions! {
    PCCC_67[128], pccc_rows, base PCCC << 8;
    0x4B "Execute_PCCC" Session;
}

functions! {
    /// Also classes 6B and 6D.
    PROGRAM_68[128], program_rows, base 0;
    0x04 "Set_Attribute_List on program/symbol" ProgramDownload!;
    0x08 "Create program/symbol object" ProgramDownload!;
}

functions! {
    /// Also class 69.
    FORCING_68[128], forcing_rows, base 0;
    0x4D "I/O forcing" Write!;
    0x4E "I/O forcing" Write!;
}

functions! {
    ROUTINE_6A[128], routine_rows, base 0x6A << 8;
    0x08 "Create (routine)" ProgramDownload!;
    0x4F "Upload transfer (read routine/data)" ProgramUpload;
    0x50 "Download transfer (write routine/data)" ProgramDownload!;
    0x51 "Modify parameter indicator" Write!;
}

functions! {
    TREND_72[128], trend_rows, base TREND << 8;
    0x05 "Reset (trend)" Control!;
    0x4C "Read (trend)" Read;
}

functions! {
    CLOCK_8B[128], clock_rows, base 0x8B << 8;
    0x03 "Read wall clock" Read;
    0x04 "Set wall clock" Config!;
}

functions! {
    CONTROLLER_8E[128], controller_rows, base 0x8E << 8;
    0x04 "Set_Attribute_List (controller)" Config!;
    0x06 "Start: run mode" Control!;
    0x07 "Stop: program mode" Control!;
    0x4B "controller service 0x4B (lock, unlock, download)" Config!;
    0x4C "controller service 0x4C (lock, unlock, download)" Config!;
    0x5C "session handshake" Auth;
}

functions! {
    FIRMWARE_A1[128], firmware_rows, base 0xA1 << 8;
    0x4B "Firmware update: init" ProgramDownload!;
    0x4D "Firmware update: data" ProgramDownload!;
    0x51 "Firmware update: setup" ProgramDownload!;
}

functions! {
    DOWNLOAD_AC[128], download_rows, base 0xAC << 8;
    0x08 "Create: program download" ProgramDownload!;
}

functions! {
    CONNECTION_CONFIGURATION_F3[128], connection_configuration_rows, base 0xF3 << 8;
    0x4B "Kick Timer" Session;
    0x4C "Open Connection" Config!;
    0x4D "Close Connection" Config!;
    0x4E "Stop Connection" Control!;
    0x4F "Change Start" Config!;
    0x50 "Get Status" Diagnostic;
    0x51 "Change Complete" Config!;
    0x52 "Audit Changes" Diagnostic;
}

functions! {
    TCP_IP_F5[128], tcp_ip_rows, base 0xF5 << 8;
    0x02 "Set all TCP/IP interface attributes" Config!;
    0x10 "Set TCP/IP interface attribute" Config!;
}

functions! {
    ETHERNET_LINK_F6[128], ethernet_link_rows, base 0xF6 << 8;
    0x10 "Set Ethernet Link attribute" Config!;
}

/// Kind tables: classes without one, tags, then one a class of [`LISTED`].
const TABLES: usize = 32;
/// Table of paths with a tag name.
pub const TAG_TABLE: usize = 1;
const FIRST_TABLE: usize = 2;
/// Classes with services of their own.
const LISTED: [u8; 22] = [
    0x01, 0x06, 0x37, 0x39, 0x3A, 0x42, 0x44, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x72, 0x8B, 0x8E, 0xA1, 0xAC,
    0xF3, 0xF5, 0xF6,
];
const _: () = assert!(FIRST_TABLE + LISTED.len() <= TABLES);

/// Kind table by class, 0 for none.
pub static CLASSES: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < LISTED.len() {
        t[LISTED[i] as usize] = (FIRST_TABLE + i) as u8;
        i += 1;
    }
    t
};

/// Puts what `services` lists over the kinds of one table.
const fn over(mut t: [u8; TABLES * 128], table: usize, services: &[u8; 128]) -> [u8; TABLES * 128] {
    let mut i = 0;
    while i < 128 {
        if services[i] != Kind::UNLISTED.0 {
            t[table * 128 + i] = services[i];
        }
        i += 1;
    }
    t
}

/// The same for a class.
const fn class(t: [u8; TABLES * 128], class: usize, services: &[u8; 128]) -> [u8; TABLES * 128] {
    over(t, CLASSES[class] as usize, services)
}

/// Kind by table << 7 | service.
pub static KINDS: [u8; TABLES * 128] = {
    let mut t = [Kind::UNLISTED.0; TABLES * 128];
    let mut i = 0;
    while i < TABLES {
        t = over(t, i, &COMMON);
        i += 1;
    }
    t = over(t, TAG_TABLE, &TAGS);
    t = class(t, 0x01, &IDENTITY_01);
    t = class(t, 0x06, &CONNECTION_MANAGER_06);
    t = class(t, 0x37, &FILE_37);
    t = class(t, 0x39, &SAFETY_SUPERVISOR_39);
    t = class(t, 0x3A, &SAFETY_VALIDATOR_3A);
    t = class(t, 0x42, &MOTION_AXIS_42);
    t = class(t, 0x44, &MODBUS_44);
    t = class(t, 0x67, &PCCC_67);
    t = class(class(t, 0x68, &PROGRAM_68), 0x68, &FORCING_68);
    t = class(t, 0x69, &FORCING_68);
    t = class(t, 0x6A, &ROUTINE_6A);
    t = class(class(t, 0x6B, &TAGS), 0x6B, &PROGRAM_68);
    t = class(t, 0x6C, &TAGS);
    t = class(t, 0x6D, &PROGRAM_68);
    t = class(class(t, 0x72, &TAGS), 0x72, &TREND_72);
    t = class(t, 0x8B, &CLOCK_8B);
    t = class(t, 0x8E, &CONTROLLER_8E);
    t = class(t, 0xA1, &FIRMWARE_A1);
    t = class(t, 0xAC, &DOWNLOAD_AC);
    t = class(t, 0xF3, &CONNECTION_CONFIGURATION_F3);
    t = class(t, 0xF5, &TCP_IP_F5);
    class(t, 0xF6, &ETHERNET_LINK_F6)
};

/// Kind of a reply by service.
pub static REPLY_KINDS: [u8; 128] = {
    let mut t = [Kind::new(Class::Response, false).0; 128];
    let mut i = 0;
    while i < 128 {
        if COMMON[i] != Kind::UNLISTED.0 {
            t[i] = COMMON[i];
        } else if REPLIES[i] != Kind::UNLISTED.0 {
            t[i] = REPLIES[i];
        }
        i += 1;
    }
    t
};

/// Every line of the tables.
pub fn rows(each: &mut dyn FnMut(Row)) {
    let of = |class: u32, r: Row| Row { function: r.function & 0xFF | class << 8, ..r };
    common_rows(each);
    reply_rows(each);
    each(Row { function: REPLY, name: "Reply", class: Class::Response, state_changing: false });
    tag_rows(each);
    identity_rows(each);
    connection_manager_rows(each);
    safety_open_rows(each);
    file_rows(each);
    safety_supervisor_rows(each);
    safety_validator_rows(each);
    motion_axis_rows(each);
    modbus_rows(each);
    pccc_rows(each);
    pccc::Pccc::rows(&mut |r| each(Row { function: with_pccc(r.function), ..r }));
    for class in [PROGRAM, SYMBOL, 0x6D] {
        program_rows(&mut |r| each(of(class, r)));
    }
    for class in [PROGRAM, 0x69] {
        forcing_rows(&mut |r| each(of(class, r)));
    }
    routine_rows(each);
    trend_rows(each);
    for class in [SYMBOL, TEMPLATE, TREND] {
        tag_rows(&mut |r| each(of(class, r)));
    }
    clock_rows(each);
    controller_rows(each);
    firmware_rows(each);
    download_rows(each);
    connection_configuration_rows(each);
    tcp_ip_rows(each);
    ethernet_link_rows(each);
}
