import BatchEngine
import ProcessEngine
import ReceiverRuntime

/// What driver and workers send each other.
enum WorkerTarget {
    /// Messages are the same however their bytes are cut, reading what they hold ends, and none that
    /// can be read can be read with a byte more: it would hide what shifts later answers.
    static func feedFrames(_ bytes: [UInt8]) -> Bool {
        let whole = messages(bytes, pieceLength: max(1, bytes.count))
        let pieces = messages(bytes, pieceLength: 1 + Int(bytes.first ?? 0) % 11)
        precondition(whole == pieces, "\(whole) in one piece, \(pieces) in several")
        return !whole.isEmpty && whole.last != refusal
    }

    /// Stands for a stream that was refused.
    private static let refusal: [UInt8] = [0xFF, 0xFF]

    private static func messages(_ bytes: [UInt8], pieceLength: Int) -> [[UInt8]] {
        var reader = FrameReader()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: pieceLength) {
            var piece = Array(bytes[start..<min(start + pieceLength, bytes.count)])[...]
            while !piece.isEmpty {
                _ = try? reader.fill { room in
                    let part = piece.prefix(room.count)
                    room.copyBytes(from: part)
                    piece = piece.dropFirst(part.count)
                    return part.count
                }
                do {
                    guard let message = try reader.next() else { continue }
                    check(message)
                    found.append([message.kind.rawValue] + message.payload)
                } catch {
                    return found + [refusal]
                }
            }
        }
        return found
    }

    /// Reads a message as its side would: the driver hellos, outcomes and failures.
    private static func check(_ message: Frames.Message) {
        // What a service says is read by ``feedMessage(_:)``.
        guard message.kind != .message, (try? message.check()) != nil else { return }
        let longer = Frames.Message(message.kind, message.payload + [0])
        precondition((try? longer.check()) == nil, "a \(message.kind) with a byte left over")
    }

    /// What a receiver and the driver say, behind a byte that chooses who speaks, survives being
    /// written and read again.
    static func feedMessage(_ bytes: [UInt8]) -> Bool {
        guard let speaker = bytes.first else { return false }
        let message = Array(bytes.dropFirst())
        if speaker < 128 {
            guard let order = try? ReceiverOrder(message) else { return false }
            let again = try? ReceiverOrder(order.bytes)
            precondition(again?.bytes == order.bytes, "\(order) became \(again as Any)")
            precondition((try? ReceiverOrder(message + [0])) == nil, "\(order) and a byte")
        } else {
            guard let written = try? ReceiverReport(message).bytes() else { return false }
            let again = try? ReceiverReport(written).bytes()
            precondition(again == written, "\(written) became \(again as Any)")
            precondition((try? ReceiverReport(written + [0])) == nil, "\(written) and a byte")
        }
        return true
    }

    static func frameSeeds() throws -> [[UInt8]] {
        let hello = try FramedMessage(WorkerProcess.helloForTests("secret")).bytes
        let task: [UInt8] = [
            1, 3, 1, 20, 2, 0, 2, 1, 0, 2, 4, 0, 1, 1, 0, 2, 2, 5, 6, 1, 2, 97, 10,
        ]
        return [
            hello, try FramedMessage(Frames.Message(.task, task)).bytes + hello,
            try FramedMessage(Frames.Message(.outcome, [1, 0, 0, 1, 0, 1, 1, 7])).bytes,
            try FramedMessage(Frames.Message(.failure, [1, 0, 0, 1, 97, 0, 0, 0])).bytes,
        ]
    }

    static func messageSeeds() throws -> [[UInt8]] {
        let orders: [ReceiverOrder] = [
            .start(rate: 1.5), .rate(2), .stop, .stored(7), .refused(300, "why"),
        ]
        let block = ReceiverReport.ReportedBlock(
            number: 3, contents: [.values(Values([1, 2]))], recordCount: 2,
            metadata: ["offset": "2"])
        let reports: [ReceiverReport] = [
            .block(block), .error("message", cause: "cause"), .linesTruncated(3),
            .ended(.restart(message: "again", error: nil, delay: .seconds(1))),
            .ended(.restart(message: "", error: nil, delay: .seconds(Int64.max))),
        ]
        return orders.map { [0] + $0.bytes } + (try reports.map { [255] + (try $0.bytes()) })
    }
}
