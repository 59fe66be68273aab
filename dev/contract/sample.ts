// What a client makes of the generated types.
import type { components, paths } from "./api";

type Room = components["schemas"]["Room"];
type Problem = components["schemas"]["Problem"];
type Opened = paths["/api/rooms"]["post"]["responses"][201]["content"]["application/json"];

export async function openRoom(token: string, name: string, subjectId: string): Promise<Room> {
  const body: components["schemas"]["NewRoom"] = { name, subjectId, roomType: "public" };
  const answer = await fetch("/api/rooms", {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status !== 201) {
    const problem: Problem = await answer.json();
    throw new Error(`${problem.code}: ${problem.detail ?? problem.title} (${problem.requestId})`);
  }
  const opened: Opened = await answer.json();
  // A repeated request of somebody who was banned since is shown what they may see now.
  if (!("memberCount" in opened)) throw new Error(`no member of ${opened.name} any more`);
  return opened;
}

export function describe(room: Room): string {
  const role = room.my === null ? "stranger" : room.my.role;
  return `${room.name} (${room.memberCount} of ${room.maxParticipants}), ${role}, ${room.lastMessageAt ?? "silent"}`;
}

// @ts-expect-error a room type that does not exist
export const wrong: components["schemas"]["NewRoom"] = { name: "x", subjectId: "y", roomType: "secret" };
