import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

@Suite("Binary forms and keys are checked", .timeLimit(.minutes(5)))
struct WrongValuesTests {
    private struct Click: Codable, Hashable, StreamKey {
        var page: String
        var milliseconds: Int?
    }

    private static let clicks =
        (0..<20).map { number in
            Click(page: String(repeating: "é", count: number), milliseconds: number % 3)
        } + [Click(page: "", milliseconds: nil)]

    @Test("ours keep their promises")
    func right() throws {
        let numbers = [0, 1, -1, 2, .max, .min] + (0..<20).map { $0 * 1000 }
        try checkStreamKey(numbers)
        try checkStreamKey([true, false])
        try checkStreamKey([0.0, -0.0, 1.5, .nan, -.nan, .infinity, -.infinity])
        try checkStreamKey(["", "a", "\u{E9}", "e\u{301}", String(repeating: "long ", count: 200)])
        try checkStreamKey([nil, [], [1], [1, 2], [2, 1]] as [[Int]?])
        try checkStreamKey(Self.clicks)
        try checkStreamCodable(Self.clicks)
        try checkStreamCodable([["a": [1, 2], "b": []], [:]])
        try checkStreamCodable([
            OffsetRange(TopicPartition(topic: "t", partition: 1), from: 3, until: 9)
        ])
        try checkStreamCodable([1.5, .nan]) { $0 == $1 || $0.isNaN && $1.isNaN }
    }

    @Test(
        "wrong forms are noticed",
        arguments: zip(
            WrongForm.Fault.allCases,
            [
                "decode gives what was encoded", "decode reads what encode wrote, whatever follows",
                "are refused with a CodecError", "no form are refused with a CodecError",
                "cannot be encoded", "decode gives what was encoded: of",
            ]))
    func form(_ fault: WrongForm.Fault, promise: String) async {
        let failure = await failure {
            try WrongForm.$fault.withValue(fault) {
                try checkStreamCodable([WrongForm(number: 5), WrongForm(number: 1 << 40)])
            }
        }
        #expect(failure.contains(promise))
    }

    @Test(
        "wrong keys are noticed",
        arguments: zip(
            WrongKey.Fault.allCases,
            [
                "same keys have the same stableHash", "same keys have the same form",
                "different keys have different forms", "isSameKey is symmetric",
                "a key is the same as itself", "not hashValue", "uniform in all bits",
                "the stableHash that it had",
            ]))
    func key(_ fault: WrongKey.Fault, promise: String) async {
        let failure = await failure {
            try WrongKey.$fault.withValue(fault) {
                try checkStreamKey(
                    (0..<20).map { WrongKey(number: $0, note: 0) }
                        + (0..<3).map { WrongKey(number: $0, note: 1) })
            }
        }
        #expect(failure.contains(promise))
    }
}

struct WrongForm: StreamCodable, Equatable {
    enum Fault: CaseIterable {
        case forgetsHighBits, takesTheRest, makesUpTheEnd, throwsOthers, fails, refuses
    }
    struct Refused: Error {}
    @TaskLocal static var fault: Fault?

    let number: Int

    func encode(to writer: inout ByteWriter) {
        switch Self.fault {
        case .forgetsHighBits: writer.writeFixed(Int64(Int32(truncatingIfNeeded: number)))
        case .fails: writer.fail(CodecError(.invalidValue, "never"))
        default: writer.writeFixed(Int64(number))
        }
    }

    static func decode(from reader: inout ByteReader) throws -> WrongForm {
        switch fault {
        case .makesUpTheEnd where reader.remaining < 8:
            _ = try reader.readBytes(count: reader.remaining)
            return WrongForm(number: 0)
        case .throwsOthers where reader.remaining < 8: throw Refused()
        case .refuses: throw CodecError(.invalidValue, "never")
        default: break
        }
        let number = Int(try reader.readFixed(as: Int64.self))
        if fault == .takesTheRest { _ = try reader.readBytes(count: reader.remaining) }
        return WrongForm(number: number)
    }
}

/// Keys that are the same when their numbers are, unless something is wrong.
struct WrongKey: StreamKey {
    enum Fault: CaseIterable {
        case hashesNotes, writesNotes, writesNothing, isLopsided, isNeverSame
        case usesHashValue, usesNumber, hashesLost
    }
    @TaskLocal static var fault: Fault?

    var number: Int
    var note: Int
    /// Gone when it is decoded.
    var isOwn = true

    static func == (left: Self, right: Self) -> Bool { left.number == right.number }
    func hash(into hasher: inout Hasher) { hasher.combine(number) }

    func encode(to writer: inout ByteWriter) {
        if Self.fault == .writesNothing, writer.purpose == .key { return }
        number.encode(to: &writer)
        if writer.purpose != .key || Self.fault == .writesNotes { note.encode(to: &writer) }
    }

    static func decode(from reader: inout ByteReader) throws -> WrongKey {
        let number = try Int.decode(from: &reader)
        return WrongKey(number: number, note: try .decode(from: &reader), isOwn: false)
    }

    var stableHash: UInt64 {
        switch Self.fault {
        case .hashesNotes: (number + 1000 * note).stableHash
        case .usesHashValue: UInt64(bitPattern: Int64(hashValue))
        case .usesNumber: UInt64(number)
        case .hashesLost: (number + (isOwn ? 0 : 1)).stableHash
        default: number.stableHash
        }
    }

    static func isSameKey(_ left: Self, _ right: Self) -> Bool {
        switch fault {
        case .isLopsided: left.number == right.number || left.number == 3 && right.number == 4
        case .isNeverSame: left.number == right.number && left.number != 7
        default: left.number == right.number
        }
    }
}
