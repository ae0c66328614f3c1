internal import CChecksum

/// CRC-32C: the polynomial 0x1EDC6F41 of Castagnoli, bits reflected, start and end inverted.
///
/// The checksum of the text `123456789` is 0xE3069283. Eight bytes are taken per step, by the
/// processor's instruction where it has one.
package enum Checksum {
    private static let hasInstruction = dstream_has_crc32c() != 0

    /// Eight tables of 256: what a byte contributes when 0…7 more follow it in the step.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var rest = UInt32(byte)
            for _ in 0..<8 { rest = rest & 1 == 1 ? rest >> 1 ^ 0x82F6_3B78 : rest >> 1 }
            tables[byte] = rest
        }
        for index in 256..<(8 * 256) {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    /// The checksum of bytes, or of those before and these together.
    ///
    /// Complexity: O(n), three cycles for eight bytes; without the instruction, eight.
    package static func crc32c(_ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0) -> UInt32
    {
        guard hasInstruction, let start = bytes.baseAddress else {
            return crc32cByTable(bytes, after: before)
        }
        return ~dstream_crc32c(~before, start, bytes.count)
    }

    /// The same for processors without the instruction.
    package static func crc32cByTable(
        _ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0
    ) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            guard let table = tables.baseAddress else { return 0 }
            var rest = ~before
            var offset = 0
            while bytes.count - offset >= 8 {
                let word = UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                let low = UInt32(truncatingIfNeeded: word) ^ rest
                let high = UInt32(truncatingIfNeeded: word >> 32)
                let first = table[7 * 256 + Int(low & 0xFF)] ^ table[6 * 256 + Int(low >> 8 & 0xFF)]
                let second =
                    table[5 * 256 + Int(low >> 16 & 0xFF)] ^ table[4 * 256 + Int(low >> 24)]
                let third =
                    table[3 * 256 + Int(high & 0xFF)] ^ table[2 * 256 + Int(high >> 8 & 0xFF)]
                let fourth = table[256 + Int(high >> 16 & 0xFF)] ^ table[Int(high >> 24)]
                rest = first ^ second ^ third ^ fourth
                offset += 8
            }
            while offset < bytes.count {
                rest = rest >> 8 ^ table[Int((rest ^ UInt32(bytes[offset])) & 0xFF)]
                offset += 1
            }
            return ~rest
        }
    }

    /// The checksum of an array's bytes.
    package static func crc32c(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { crc32c($0) } }
}

extension [UInt8] {
    /// Adds a number, the least byte first.
    mutating func appendNumber(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}

extension UnsafeRawBufferPointer {
    /// The number at an offset, the least byte first.
    func number<Number: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, _ type: Number.Type
    ) -> Number {
        Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}
