import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Foundation
import Synchronization

/// A write-ahead log of one segment.
enum LogTarget {
    private static let name = "log-1000-61000"
    private static let sequence: UInt64 = 1

    static func feed(_ bytes: [UInt8]) -> Bool {
        let medium = SimulatedStorageMedium()
        medium.setDirectory("/log")
        medium.setContents(of: "/log/" + name, to: bytes)
        medium.setContents(of: "/log/extent", to: sample.extent)
        return finish {
            guard let found = try? await records(medium) else { return false }
            // What was read without changing anything is what is read once all is mended.
            let log = try? await FileWriteAheadLog.open("/log", on: medium)
            let opened = try? await log?.readAll()
            await log?.close()
            precondition(opened == found, "a log that is opened holds other records")
            return !found.isEmpty
        }
    }

    private static func records(_ medium: SimulatedStorageMedium) async throws -> [[UInt8]] {
        var records: [[UInt8]] = []
        for try await record in try await LogInspection(of: "/log", on: medium).records {
            records.append(record.bytes)
        }
        return records
    }

    /// The bytes with the checksums that would be right, so that what they guard is reached.
    static func mended(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        let start = SegmentHeader.byteCount
        guard bytes.count >= start else { return bytes }
        bytes.mend(from: start - 4, Checksum.crc32c(Array(bytes[..<(start - 4)])))
        var offset = start
        while offset + RecordFrame.byteCount <= bytes.count {
            let record = offset + RecordFrame.byteCount
            let count = Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
            let end = min(record + count, bytes.count)
            bytes.mend(from: offset + 16, Checksum.crc32c(Array(bytes[record..<end])))
            let place = withUnsafeBytes(of: (sequence.littleEndian, UInt64(offset).littleEndian)) {
                Checksum.crc32c($0)
            }
            let frame = bytes[offset..<(offset + 20)].withUnsafeBytes {
                Checksum.crc32c($0, after: place)
            }
            bytes.mend(from: offset + 20, frame)
            offset = max(end, offset + 1)
        }
        return bytes
    }

    /// A segment of three records, and which segments its log had while it was written.
    static let sample: (segment: [UInt8], extent: [UInt8]) = {
        let medium = SimulatedStorageMedium()
        return finish {
            let log = try? await FileWriteAheadLog.open("/log", on: medium)
            for record in [[1, 2, 3], [], [UInt8](repeating: 7, count: 40)] as [[UInt8]] {
                _ = try? await log?.write(record, time: .seconds(1))
            }
            let extent = medium.contents(of: "/log/extent")
            await log?.close()
            return (medium.contents(of: "/log/" + name) ?? [], extent ?? [])
        }
    }()
}

extension [UInt8] {
    /// Puts a number in place, the least byte first.
    mutating func mend(from offset: Int, _ number: UInt32) {
        for index in 0..<4 {
            self[offset + index] = UInt8(truncatingIfNeeded: number >> (8 * index))
        }
    }
}

/// Waits for what `work` gives; libFuzzer's own thread has nothing else to do.
func finish<Value: Sendable>(_ work: @escaping @Sendable () async -> Value) -> Value {
    let done = DispatchSemaphore(value: 0)
    let result = Locked<Value?>(nil)
    Task.detached {
        let value = await work()
        result.withLock { $0 = value }
        done.signal()
    }
    while true {
        done.wait()
        if let value = result.withLock({ $0 }) { return value }
    }
}
